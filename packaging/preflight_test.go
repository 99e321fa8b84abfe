package packaging

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
)

// packWarned tells what a build said first, and whether one began.
func packWarned(t *testing.T, req PackRequest) (warned []string, built bool, err error) {
	t.Helper()
	req.Name, req.Out = "hello", t.TempDir()
	req.Build.Goreleaser, req.Build.Targets = "none", []string{"windows/amd64"}
	req.Warn = func(line string) { warned = append(warned, line) }
	_, _, b, err := Pack(t.Context(), req)
	return warned, b != nil, err
}

func TestProblemsAreFoundBeforeTheBuild(t *testing.T) {
	key := filepath.Join(t.TempDir(), "release.key")
	if _, err := Keygen(key, Ed25519, ""); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		prepare func(t *testing.T) PackRequest
		says    string
		hint    string
	}{
		"not a repository": {func(t *testing.T) PackRequest { return PackRequest{Dir: t.TempDir()} }, "git", "git init"},
		"shallow clone": {func(t *testing.T) PackRequest {
			dir := newRepo(t, nil)
			git(t, dir, "commit", "-q", "--allow-empty", "-m", "second")
			git(t, dir, "tag", "v1.0.0")
			clone := filepath.Join(t.TempDir(), "clone")
			git(t, dir, "clone", "-q", "--depth=1", "--no-tags", "file://"+filepath.ToSlash(dir), clone)
			return PackRequest{Dir: clone}
		}, "shallow", "fetch-depth: 0"},
		"dirty and signed": {func(t *testing.T) PackRequest {
			dir := newRepo(t, nil)
			write(t, filepath.Join(dir, "untracked.txt"), "x")
			return PackRequest{Dir: dir, Attest: config.Attest{Key: key}}
		}, "differs from commit", "commit or stash"},
		"go too old": {func(t *testing.T) PackRequest {
			t.Setenv("GOTOOLCHAIN", "local")
			return PackRequest{Dir: newRepo(t, map[string]string{"go.mod": "module example.test/hello\n\ngo 1.99\n"})}
		}, "requires go >= 1.99", "GOTOOLCHAIN"},
		"no key": {func(t *testing.T) PackRequest {
			return PackRequest{Dir: newRepo(t, nil), Attest: config.Attest{Key: key + ".none"}}
		}, "attest.key", "keygen"},
		"no successor": {func(t *testing.T) PackRequest {
			return PackRequest{Dir: newRepo(t, nil), Attest: config.Attest{Key: key, Successors: []string{key + ".none"}}}
		}, ".none", ".pub"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, built, err := packWarned(t, tt.prepare(t))
			if built || problem.KindOf(err) != problem.Usage || !strings.Contains(err.Error(), tt.says) || !strings.Contains(problem.HintOf(err), tt.hint) {
				t.Errorf("built %v, hint %q: %v", built, problem.HintOf(err), err)
			}
		})
	}
}

// A shallow clone with the tag of its commit is as good as a whole one.
func TestShallowCloneWithItsTag(t *testing.T) {
	dir := newRepo(t, nil)
	git(t, dir, "commit", "-q", "--allow-empty", "-m", "second")
	git(t, dir, "tag", "v1.0.0")
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", "--depth=1", "--branch=v1.0.0", "file://"+filepath.ToSlash(dir), clone)
	_, whole := pack(t, dir, config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}})
	_, shallow := pack(t, clone, config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}})
	if Release(whole) != Release(shallow) {
		t.Errorf("%s and %s", Release(whole), Release(shallow))
	}
}

func TestSettingsThatAreLeftOutAreSaid(t *testing.T) {
	env := filepath.Join(t.TempDir(), "env")
	tests := map[string]struct{ file, says string }{
		"nothing":        {"", ""},
		"harmless flags": {"GOFLAGS=-buildvcs=false -modcacherw -p=2\n", ""},
		"tags":           {"GOFLAGS=-modcacherw -tags=pro\n", "GOFLAGS=-tags=pro"},
		"level":          {"GOAMD64=v3\n", "GOAMD64=v3"},
		"experiment":     {"GOEXPERIMENT=jsonv2\n", "GOEXPERIMENT=jsonv2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			write(t, env, tt.file)
			t.Setenv("GOENV", env)
			t.Setenv("GOFLAGS", "")
			warned, _, err := packWarned(t, PackRequest{Dir: newRepo(t, nil)})
			text := strings.Join(warned, "\n")
			if err != nil || (text == "") != (tt.says == "") || !strings.Contains(text, tt.says) {
				t.Errorf("%q: %v", text, err)
			}
		})
	}
}

func TestChangedTreeIsSaid(t *testing.T) {
	dir := newRepo(t, nil)
	write(t, filepath.Join(dir, "untracked.txt"), "x")
	warned, _, err := packWarned(t, PackRequest{Dir: dir})
	if err != nil || len(warned) != 1 || !strings.Contains(warned[0], "differs from its commit") {
		t.Errorf("%q: %v", warned, err)
	}
}

// A pinned GoReleaser that needs a newer Go says so before it builds anything.
func TestToolsModuleThatNeedsANewerGo(t *testing.T) {
	t.Setenv("GOTOOLCHAIN", "local")
	dir := newRepo(t, map[string]string{
		".goreleaser.yaml": goreleaserConfigSource,
		"tools.mod":        "module example.test/hello\n\ngo 1.99\n\ntool github.com/goreleaser/goreleaser/v2\n",
	})
	withoutGoreleaser(t)
	_, _, _, err := Pack(t.Context(), PackRequest{Name: "hello", Dir: dir, Out: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "1.99") || problem.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}
