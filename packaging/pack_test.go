package packaging

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

func pack(t *testing.T, dir string, b config.Build) (string, Manifest) {
	t.Helper()
	path, m, _ := packBy(t, dir, b)
	return path, m
}

func packBy(t *testing.T, dir string, b config.Build) (path string, m Manifest, builder string) {
	t.Helper()
	path, m, made, err := Pack(context.Background(), PackRequest{
		Name: "hello", Dir: dir, Build: b, Out: t.TempDir(), Log: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return path, m, made.Builder
}

func executables(m Manifest) map[string]release.Digest {
	all := map[string]release.Digest{}
	for _, t := range m.Targets {
		all[t.Name()] = t.Files[0].SHA256
	}
	return all
}

func TestSameCommitSameBundle(t *testing.T) {
	one, two := newRepo(t, nil), newRepo(t, nil)
	first, m := pack(t, one, config.Build{Goreleaser: "none"})
	second, _ := pack(t, two, config.Build{Goreleaser: "none"})
	if !bytes.Equal(read(t, first), read(t, second)) {
		t.Fatal("the same commit in two folders gave different bundles")
	}
	if filepath.Base(first) != "hello-"+Release(m).Dir()+".zip" {
		t.Errorf("bundle is called %s", filepath.Base(first))
	}
	if len(m.Targets) != 2 || !strings.HasPrefix(m.Toolchain, "go1.") || m.Builder != FromSource {
		t.Errorf("manifest: %+v", m)
	}
	b, err := Open(first)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Release() != Release(m) {
		t.Errorf("opened %s, packed %s", b.Release(), Release(m))
	}
}

func TestUsersGoEnvDoesNotChangeBits(t *testing.T) {
	_, plain := pack(t, newRepo(t, nil), config.Build{Goreleaser: "none"})
	env := filepath.Join(t.TempDir(), "env")
	write(t, env, "GOFLAGS=-buildvcs=false\nGOAMD64=v3\n")
	t.Setenv("GOENV", env)
	_, other := pack(t, newRepo(t, nil), config.Build{Goreleaser: "none"})
	if plain.Digest != other.Digest {
		t.Error("go env changed the executables")
	}
}

func TestDirtyTreeIsAnotherRelease(t *testing.T) {
	dir := newRepo(t, nil)
	git(t, dir, "tag", "v1.2.3")
	_, clean := pack(t, dir, config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}})
	write(t, filepath.Join(dir, "untracked.txt"), "x")
	_, dirty := pack(t, dir, config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}})
	if clean.Version != "1.2.3" || dirty.Version != "1.2.3+dirty" || clean.Digest == dirty.Digest {
		t.Errorf("clean %s, dirty %s", Release(clean), Release(dirty))
	}
}

func TestBundlesInTheSourceDoNotMakeItDirty(t *testing.T) {
	dir := newRepo(t, nil)
	req := PackRequest{Name: "hello", Dir: dir, Out: filepath.Join(dir, "bundles"), Build: config.Build{Targets: []string{"windows/amd64"}}}
	first, _, _, err := Pack(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	second, _, _, err := Pack(t.Context(), req)
	if err != nil || first != second {
		t.Errorf("first %s, second %s: %v", first, second, err)
	}
}

func TestFilesTravelForEveryTarget(t *testing.T) {
	dir := newRepo(t, map[string]string{"conf/app.ini": "k=v\n", "tpl.txt": "{{.Port}}"})
	path, _, _, err := Pack(context.Background(), PackRequest{
		Name: "orders", Binary: "hello", Dir: dir, Build: config.Build{Goreleaser: "none"}, Out: t.TempDir(),
		Files: []config.FileRef{{From: "conf/app.ini", To: "etc/app.ini"}, {From: "main.go"}, {From: "tpl.txt", Template: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, target := range b.Manifest.Targets {
		var names []string
		for _, f := range target.Files {
			names = append(names, f.Path)
		}
		if got := strings.Join(names, " "); got != "etc/app.ini hello.exe main.go" || target.Executable != "hello.exe" {
			t.Errorf("%s holds %s, executable %s", target.Name(), got, target.Executable)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	dir := newRepo(t, nil)
	empty := t.TempDir()
	tests := map[string]struct {
		req  PackRequest
		kind problem.Kind
		says string
	}{
		"missing file":      {PackRequest{Name: "hello", Dir: dir, Files: []config.FileRef{{From: "no.ini"}}}, problem.Usage, "no.ini"},
		"file outside":      {PackRequest{Name: "hello", Dir: dir, Files: []config.FileRef{{From: "main.go", To: "../x"}}}, problem.Usage, ".."},
		"file hides binary": {PackRequest{Name: "hello", Dir: dir, Files: []config.FileRef{{From: "main.go", To: "HELLO.EXE"}}}, problem.Usage, "same on Windows"},
		"no repository":     {PackRequest{Name: "hello", Dir: empty}, problem.Usage, "git"},
		"no package":        {PackRequest{Name: "hello", Dir: dir, Build: config.Build{Package: "./nothing"}}, problem.Failed, "nothing"},
		"strange target":    {PackRequest{Name: "hello", Dir: dir, Build: config.Build{Targets: []string{"windows"}}}, problem.Usage, "GOOS/GOARCH"},
		"bad ldflags":       {PackRequest{Name: "hello", Dir: dir, Build: config.Build{Ldflags: "{{.Nothing}}"}}, problem.Usage, "Nothing"},
		"no configuration":  {PackRequest{Name: "hello", Dir: dir, Build: config.Build{Goreleaser: "release.yaml"}}, problem.Usage, "release.yaml"},
		"no prebuilt":       {PackRequest{Name: "hello", Dir: dir, Build: config.Build{Prebuilt: "bin"}}, problem.Usage, "windows/amd64"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.req.Out = filepath.Join(t.TempDir(), "out")
			if len(tt.req.Build.Targets) == 0 {
				tt.req.Build.Targets = []string{"windows/amd64"}
			}
			_, _, _, err := Pack(context.Background(), tt.req)
			if err == nil || problem.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("kind %d: %v", problem.KindOf(err), err)
			}
			if err != nil && problem.HintOf(err) == "" {
				t.Errorf("no hint with: %v", err)
			}
			if _, err := os.Stat(tt.req.Out); err == nil {
				t.Error("left something behind")
			}
		})
	}
}

func TestPackStopsWithItsContext(t *testing.T) {
	dir := newRepo(t, nil)
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	// The first line that the builder says is that it begins.
	_, _, _, err := Pack(ctx, PackRequest{Name: "hello", Dir: dir, Out: t.TempDir(), Log: func(string) { cancel(gone) }})
	if !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
}

func TestPrebuilt(t *testing.T) {
	dir := newRepo(t, map[string]string{"go.mod": "module example.test/hello/v2\n\ngo 1.26\n"})
	git(t, dir, "tag", "v2.0.0")
	from, m := pack(t, dir, config.Build{Goreleaser: "none"})
	b, err := Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for layout, name := range map[string]string{"folders": "%t/hello.exe", "flat": "hello_%t.exe"} {
		t.Run(layout, func(t *testing.T) {
			bins := t.TempDir()
			for _, target := range m.Targets {
				content, err := readContent(b, target.Files[0].SHA256)
				if err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(bins, strings.ReplaceAll(name, "%t", target.GOOS+"_"+target.GOARCH))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				write(t, path, string(content))
			}
			_, again := pack(t, dir, config.Build{Prebuilt: bins})
			if Release(again) != Release(m) || again.Commit != m.Commit || !again.Time.Equal(m.Time) {
				t.Errorf("in the repository: prebuilt %+v, built %+v", again, m)
			}
			_, again = pack(t, t.TempDir(), config.Build{Prebuilt: bins})
			if again.Digest != m.Digest || again.Version != "2.0.0" || again.Commit != m.Commit || !again.Time.Equal(m.Time) {
				t.Errorf("elsewhere: prebuilt %+v, built %+v", again, m)
			}
		})
	}
}

// A program of any language, with its files: the version is the source's.
func TestPrebuiltOfAnyLanguage(t *testing.T) {
	dir := newRepo(t, map[string]string{"bin/orders.exe": "MZ whatever made it", "bin/orders.dll": "a library", "conf/app.ini": "k=v"})
	git(t, dir, "tag", "v3.1.0")
	path, m, _, err := Pack(t.Context(), PackRequest{
		Name: "orders", Dir: dir, Build: config.Build{Prebuilt: "bin", Targets: []string{"windows/amd64"}}, Out: t.TempDir(),
		Files: []config.FileRef{{From: "bin/orders.dll"}, {From: "conf/app.ini", To: "etc/app.ini"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Version != "3.1.0" || m.Builder != FromPrebuilt || m.Toolchain != "" || len(m.Targets[0].Files) != 3 {
		t.Errorf("manifest %+v", m)
	}
	exe, _ := unpack(t, path, "amd64")
	if string(read(t, exe)) != "MZ whatever made it" {
		t.Error("the executable was changed")
	}
	if found, err := Inspect(t.Context(), path, nil); err != nil || found.Signers["windows/amd64"] != "" {
		t.Errorf("%+v: %v", found, err)
	}
}
