package packaging

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/go-shipper/shipper/problem"
)

// tool is a GoReleaser: an executable, or the tools module that pins one.
type tool struct {
	path   string
	module string
	from   string // for people: where it was found
}

// executable is the path of the tool. A pinned one is built at first, which
// takes minutes, and with settings of its own, so that the build cache has it
// for every later caller.
func (t tool) executable(ctx context.Context, dir string) (string, error) {
	if t.path != "" {
		return t.path, nil
	}
	out, err := capture(ctx, dir, []string{"CGO_ENABLED=0", "GOOS=", "GOARCH="}, "go", "tool", "-n", "-modfile="+t.module, "goreleaser")
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "build goreleaser from "+t.module, "make `go tool -modfile=tools.mod goreleaser --version` pass")
	}
	return out[strings.LastIndexByte(out, '\n')+1:], nil
}

// supported are the versions whose dist/ is known.
var supported = semver.MustParse("2.5.0")

// findTool looks for a GoReleaser: the configured path, PATH, the tools
// module beside the user's go.mod. found is false, with the reason, where
// there is none; a configured path that does not serve is an error.
func findTool(ctx context.Context, dir, configured string) (t tool, found bool, why string, err error) {
	if configured != "" {
		path := configured
		if filepath.Base(path) != path && !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		version, err := toolVersion(ctx, dir, path)
		if err != nil {
			return tool{}, false, "", problem.Wrap(problem.Usage, err, "use build.tool", "name a GoReleaser of version 2.5 or later, below 3")
		}
		return tool{path: path, from: path + " " + version}, true, "", nil
	}
	why = "no goreleaser on PATH"
	if path, err := exec.LookPath("goreleaser"); err == nil {
		version, err := toolVersion(ctx, dir, path)
		if err == nil {
			return tool{path: path, from: path + " " + version}, true, "", nil
		}
		why = err.Error()
	}
	if mod := toolsModule(ctx, dir); mod != "" {
		return tool{module: mod, from: mod}, true, "", nil
	}
	return tool{}, false, why + ", and no tools.mod that pins one", nil
}

var gitVersion = regexp.MustCompile(`(?m)^GitVersion:\s*v?(\S+)`)

func toolVersion(ctx context.Context, dir, path string) (string, error) {
	out, err := capture(ctx, dir, nil, path, "--version")
	if err != nil {
		return "", err
	}
	m := gitVersion.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s tells no GitVersion", path)
	}
	v, err := semver.NewVersion(m[1])
	if err != nil || v.LessThan(supported) || v.Major() != supported.Major() {
		return "", fmt.Errorf("%s has version %s, wanted is 2.5 or later, below 3", path, m[1])
	}
	return v.String(), nil
}

// toolsModule is the tools.mod beside the go.mod that rules dir, if it pins
// a GoReleaser.
func toolsModule(ctx context.Context, dir string) string {
	gomod, err := capture(ctx, dir, nil, "go", "env", "GOMOD")
	if err != nil || !filepath.IsAbs(gomod) {
		return ""
	}
	path := filepath.Join(filepath.Dir(gomod), "tools.mod")
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(b, []byte("github.com/goreleaser/goreleaser/v2")) {
		return ""
	}
	return path
}
