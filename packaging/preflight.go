package packaging

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-shipper/shipper/problem"
)

// preflight finds before the build what would make its bits differ from those
// of another machine, or fail late.
func preflight(ctx context.Context, req PackRequest, s Source) error {
	if s.Shallow && !s.Tagged {
		return problem.New(problem.Usage, "fetch the whole history: `git fetch --unshallow --tags`, or `fetch-depth: 0` for actions/checkout",
			"the clone is shallow and has no tag for its commit: Go would stamp another version into the executable than elsewhere")
	}
	if s.Dirty && req.Attest.Key != "" {
		return problem.New(problem.Usage, "commit or stash the changes (git status lists them); a bundle that nobody signs may have them",
			"the source differs from commit %.7s, and nobody can vouch for what is in no commit", s.Commit)
	}
	if s.Dirty {
		req.Warn("the source differs from its commit: the release is called " + s.Version + ", and nobody can build it again")
	}
	if err := goServes(ctx, req.Dir); err != nil {
		return err
	}
	return leftOut(ctx, req)
}

// goServes asks whether the Go that is here can build the module.
func goServes(ctx context.Context, dir string) error {
	env, err := goEnv(ctx, dir)
	if err != nil {
		return goMissing(err)
	}
	_, err = capture(ctx, dir, env, "go", "list", "-m")
	if err != nil && (strings.Contains(err.Error(), "requires go") || strings.Contains(err.Error(), "toolchain not available")) {
		return problem.Wrap(problem.Usage, err, "build", "install that Go, or let go fetch it: GOTOOLCHAIN=auto")
	}
	return nil // whatever else is wrong, the build says it better
}

// leftOut warns of settings that this machine has and the build does not
// follow.
func leftOut(ctx context.Context, req PackRequest) error {
	out, err := capture(ctx, req.Dir, nil, "go", "env", "-json", "GOFLAGS", "GOEXPERIMENT", "GOAMD64", "GOARM64")
	settings := map[string]string{}
	if err == nil {
		err = json.Unmarshal([]byte(out), &settings)
	}
	if err != nil {
		return goMissing(fmt.Errorf("read go env: %w", err))
	}
	var words []string
	for word := range strings.FieldsSeq(settings["GOFLAGS"]) {
		if !harmless(word) {
			words = append(words, "GOFLAGS="+word)
		}
	}
	for _, key := range []string{"GOEXPERIMENT", "GOAMD64", "GOARM64"} {
		if value := settings[key]; value != "" && value != pinned[key] {
			words = append(words, key+"="+value)
		}
	}
	if len(words) > 0 {
		req.Warn("left out, because it would change the bits on this machine only: " + strings.Join(words, " ") +
			" (put what the program needs into the GoReleaser configuration, or build.ldflags)")
	}
	return nil
}

// harmless knows the flags that change nothing of a program, and those that
// the build sets by itself.
func harmless(flag string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
	switch name {
	case "mod", "modcacherw", "buildvcs", "trimpath", "p", "v", "x", "a", "n", "work":
		return true
	}
	return false
}
