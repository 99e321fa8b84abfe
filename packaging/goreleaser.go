package packaging

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/go-shipper/shipper/problem"
)

// goreleaser runs the user's own GoReleaser configuration. It is executed,
// not imported: as a library it is 120 MB and tells nothing that dist/ does
// not.
type goreleaser struct {
	config string // path of the configuration
	tool   tool
}

func (goreleaser) Name() string { return "goreleaser" }

// Build runs `goreleaser build`, which makes the executables (with the user's
// hooks) and neither archives nor announcements: nothing of a release needs a
// token or a network. The tag it sees is the source's version, so that an
// untagged or dirty commit is called the same by every builder.
func (g goreleaser) Build(ctx context.Context, req BuildRequest) (*Build, error) {
	env, err := buildEnv(ctx, req)
	if err != nil {
		return nil, goMissing(err)
	}
	dist, err := distOf(g.config)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read "+g.config, "make `goreleaser check` pass")
	}
	if !filepath.IsAbs(dist) {
		dist = filepath.Join(req.Dir, dist)
	}
	path, err := g.tool.executable(ctx, req.Dir)
	if err != nil {
		return nil, err
	}
	env = append(env, g.environment(req.Source)...)
	if err := run(ctx, req.Log, req.Dir, env, path, "build", "--clean", "--skip=validate", "--config", g.config); err != nil {
		return nil, problem.Wrap(problem.Failed, err, "goreleaser build", "make `goreleaser build --snapshot --clean` pass in "+req.Dir)
	}
	return readDist(dist, req)
}

// environment names the tag, and a remote where there is none: without one
// GoReleaser falls back to version 0.0.0 and commit none. It is never asked.
func (g goreleaser) environment(s Source) []string {
	env := []string{"GORELEASER_CURRENT_TAG=v" + s.Version}
	if !s.Origin {
		env = append(env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=remote.origin.url",
			"GIT_CONFIG_VALUE_0=https://localhost/"+filepath.Base(filepath.Dir(g.config))+"/origin")
	}
	return env
}

func distOf(config string) (string, error) {
	b, err := os.ReadFile(config)
	if err != nil {
		return "", err
	}
	var c struct {
		Dist string `yaml:"dist"`
	}
	if err := yaml.Unmarshal(b, &c); err != nil {
		return "", err
	}
	if c.Dist == "" {
		c.Dist = "dist"
	}
	return c.Dist, nil
}

// distArtifact is one element of dist/artifacts.json. Elements come in any
// order, `internal_type` changes between versions: only `type` is relied on.
type distArtifact struct {
	Name    string `json:"name"`
	Path    string `json:"path"` // relative to the working directory, slashes
	GOOS    string `json:"goos"`
	GOARCH  string `json:"goarch"`
	GOAMD64 string `json:"goamd64"`
	Type    string `json:"type"`
	Extra   struct {
		Binary string `json:"Binary"`
	} `json:"extra"`
}

// distMetadata is dist/metadata.json.
type distMetadata struct {
	Commit string `json:"commit"`
}

func readDist(dist string, req BuildRequest) (*Build, error) {
	var all []distArtifact
	var meta distMetadata
	if err := readJSON(filepath.Join(dist, "artifacts.json"), &all); err != nil {
		return nil, distProblem(err)
	}
	if err := readJSON(filepath.Join(dist, "metadata.json"), &meta); err != nil {
		return nil, distProblem(err)
	}
	if meta.Commit != req.Source.Commit {
		return nil, problem.New(problem.Failed, "run it again; is something else building in "+req.Dir+"?",
			"goreleaser built commit %.40s, HEAD is %.40s", meta.Commit, req.Source.Commit)
	}
	b := req.Source.build("goreleaser")
	for _, target := range req.Targets {
		path, err := pick(all, req.Binary, target)
		if err != nil {
			return nil, err
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(req.Dir, filepath.FromSlash(path))
		}
		a, err := artifact(path, target)
		if err != nil {
			return nil, distProblem(err)
		}
		b.Artifacts = append(b.Artifacts, a)
	}
	return b, nil
}

// pick finds the executable for a target. Of several levels of one
// architecture the lowest runs everywhere.
func pick(all []distArtifact, binary, target string) (string, error) {
	var found []distArtifact
	var others []string
	for _, a := range all {
		if a.Type != "Binary" {
			continue
		}
		if a.GOOS+"/"+a.GOARCH == target && a.is(binary) {
			found = append(found, a)
		} else {
			others = append(others, a.GOOS+"/"+a.GOARCH+" "+a.Name)
		}
	}
	if len(found) == 0 {
		made := "nothing"
		if len(others) > 0 {
			slices.Sort(others)
			made = strings.Join(slices.Compact(others), ", ")
		}
		return "", problem.New(problem.Usage,
			"let the goos, goarch and binary of a build in the goreleaser configuration match service.binary and build.targets",
			"goreleaser made no executable %s for %s, but %s", binary, target, made)
	}
	slices.SortFunc(found, func(a, b distArtifact) int { return strings.Compare(a.GOAMD64+a.Path, b.GOAMD64+b.Path) })
	return found[0].Path, nil
}

func (a distArtifact) is(binary string) bool {
	return a.Extra.Binary == binary || strings.TrimSuffix(a.Name, ".exe") == binary
}

func readJSON(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func distProblem(err error) error {
	return problem.Wrap(problem.Failed, err, "read what goreleaser built", "run `goreleaser build --snapshot --clean` and look into dist/")
}
