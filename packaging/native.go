package packaging

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/go-shipper/shipper/problem"
)

// defaultLdflags strip symbols (deltas and pushes stay small; panics keep
// file and line) and stamp version and commit into package main.
const defaultLdflags = "-s -w -X main.version={{.Version}} -X main.commit={{.Commit}}"

// native runs plain go build with GoReleaser's flags: the same bits.
type native struct{}

func (native) Name() string { return "native" }

func (native) Build(ctx context.Context, req BuildRequest) (*Build, error) {
	env, err := buildEnv(ctx, req)
	if err != nil {
		return nil, goMissing(err)
	}
	ldflags, err := renderLdflags(req)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read build.ldflags", "use {{.Version}} and {{.Commit}}")
	}
	b := req.Source.build("native")
	for _, target := range req.Targets {
		a, err := goBuild(ctx, req, env, ldflags, target)
		if err != nil {
			return nil, err
		}
		b.Artifacts = append(b.Artifacts, a)
	}
	return b, nil
}

func (s Source) build(builder string) *Build {
	return &Build{Builder: builder, Version: s.Version, Commit: s.Commit, Time: s.Time}
}

func goMissing(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return problem.Wrap(problem.Usage, err, "build", "install Go, or build elsewhere and set build.prebuilt")
	}
	return problem.Wrap(problem.Failed, err, "build", "")
}

func renderLdflags(req BuildRequest) (string, error) {
	text := req.Ldflags
	if text == "" {
		text = defaultLdflags
	}
	t, err := template.New("ldflags").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, struct{ Version, Commit string }{req.Source.Version, req.Source.Commit})
	return out.String(), err
}

func goBuild(ctx context.Context, req BuildRequest, env []string, ldflags, target string) (Artifact, error) {
	env, err := targetEnv(env, target)
	if err != nil {
		return Artifact{}, problem.Wrap(problem.Usage, err, "read build.targets", "for example windows/amd64")
	}
	pkg := req.Package
	if pkg == "" {
		pkg = "."
	}
	out := filepath.Join(req.Dist, strings.ReplaceAll(target, "/", "_"), executable(req.Binary, target))
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return Artifact{}, err
	}
	err = run(ctx, req.Log, req.Dir, env, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags="+ldflags, "-o", out, pkg)
	if err != nil {
		return Artifact{}, problem.Wrap(problem.Failed, err, fmt.Sprintf("go build %s for %s", pkg, target), "make `go build` pass in "+req.Dir)
	}
	return artifact(out, target)
}

func executable(binary, target string) string {
	if strings.HasPrefix(target, "windows/") {
		return binary + ".exe"
	}
	return binary
}
