package packaging

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
)

// The shapes of dist/artifacts.json: version 1 has no target and other
// numbers, version 2 tells levels of an architecture.
const (
	artifactsV1 = `[
 {"name":"metadata.json","path":"dist/metadata.json","internal_type":30,"type":"Metadata","extra":{}},
 {"name":"hello.exe","path":"dist/hello_windows_arm64/hello.exe","goos":"windows","goarch":"arm64","internal_type":4,"type":"Binary","extra":{"Binary":"hello","Ext":".exe","ID":"hello"}},
 {"name":"hello_1.0.0_windows_amd64.zip","path":"dist/hello_1.0.0_windows_amd64.zip","goos":"windows","goarch":"amd64","goamd64":"v1","internal_type":1,"type":"Archive","extra":{"Format":"zip","ID":"default"}},
 {"name":"hello.exe","path":"dist/hello_windows_amd64_v1/hello.exe","goos":"windows","goarch":"amd64","goamd64":"v1","internal_type":4,"type":"Binary","extra":{"Binary":"hello","Ext":".exe","ID":"hello"}}
]`
	artifactsV2 = `[
 {"name":"hello.exe","path":"dist/hello_windows_amd64_v3/hello.exe","goos":"windows","goarch":"amd64","goamd64":"v3","target":"windows_amd64_v3","internal_type":4,"type":"Binary","extra":{"Binary":"hello","Builder":"go","Ext":".exe","ID":"hello"}},
 {"name":"ctl.exe","path":"dist/ctl_windows_amd64_v1/ctl.exe","goos":"windows","goarch":"amd64","goamd64":"v1","target":"windows_amd64_v1","internal_type":4,"type":"Binary","extra":{"Binary":"ctl","Builder":"go","Ext":".exe","ID":"ctl"}},
 {"name":"hello.exe","path":"dist/hello_windows_amd64_v1/hello.exe","goos":"windows","goarch":"amd64","goamd64":"v1","target":"windows_amd64_v1","internal_type":4,"type":"Binary","extra":{"Binary":"hello","Builder":"go","Ext":".exe","ID":"hello"}},
 {"name":"hello.exe","path":"dist/hello_windows_arm64_v8.0/hello.exe","goos":"windows","goarch":"arm64","goarm64":"v8.0","target":"windows_arm64_v8.0","internal_type":4,"type":"Binary","extra":{"Binary":"hello","Builder":"go","Ext":".exe","ID":"hello"}},
 {"name":"metadata.json","path":"dist/metadata.json","internal_type":35,"type":"Metadata"}
]`
	artifactsNone = `[{"name":"metadata.json","path":"dist/metadata.json","internal_type":35,"type":"Metadata"}]`
)

// fakeGoReleaser puts a program of that name first on PATH: it writes the
// given artifacts.json and one file per executable that the json names.
func fakeGoReleaser(t *testing.T, version, artifacts string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell")
	}
	bin := t.TempDir()
	write(t, filepath.Join(bin, "artifacts.json"), artifacts)
	script := fmt.Sprintf(`#!/bin/sh
if [ "$1" = --version ]; then echo "GitVersion:    %s"; exit 0; fi
echo "$@" > args.out
rm -rf dist && mkdir dist && cp %s/artifacts.json dist/
printf '{"version":"%%s","commit":"%%s"}' "$GORELEASER_CURRENT_TAG" "$(git rev-parse HEAD)" > dist/metadata.json
for d in hello_windows_amd64_v1 hello_windows_amd64_v3 hello_windows_arm64_v8.0 hello_windows_arm64; do
  mkdir dist/$d && printf 'MZ %%s' $d > dist/$d/hello.exe
done
`, version, bin)
	path := filepath.Join(bin, "goreleaser")
	write(t, path, script)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestReadsEveryShapeOfDist(t *testing.T) {
	for shape, artifacts := range map[string]string{"v1": artifactsV1, "v2": artifactsV2} {
		t.Run(shape, func(t *testing.T) {
			fakeGoReleaser(t, "v2.16.0", artifacts)
			dir := newRepo(t, map[string]string{".goreleaser.yaml": goreleaserConfigSource, ".gitignore": "/dist/\n/*.out\n"})
			git(t, dir, "tag", "1.0.0")
			path, m, by := packBy(t, dir, config.Build{Resource: config.Resource{Skip: true}})
			if by != "goreleaser" || m.Version != "1.0.0" || len(m.Targets) != 2 {
				t.Fatalf("manifest %+v", m)
			}
			b, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			amd64, err := b.Target("windows", "amd64")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := readContent(b, amd64.Files[0].SHA256); err != nil || string(got) != "MZ hello_windows_amd64_v1" {
				t.Errorf("packed %q: %v", got, err)
			}
			if args := string(read(t, filepath.Join(dir, "args.out"))); !strings.HasPrefix(args, "build --clean --skip=validate --config ") {
				t.Errorf("called with %s", args)
			}
		})
	}
}

// GoReleaser ends well with nothing built when its configuration and the
// asked targets do not meet.
func TestZeroExecutablesIsAnError(t *testing.T) {
	tests := map[string]struct {
		artifacts, binary, says string
		targets                 []string
	}{
		"none":           {artifactsNone, "hello", "but nothing", nil},
		"other target":   {artifactsV2, "hello", "windows/arm64 hello.exe", []string{"windows/386"}},
		"other binary":   {artifactsV2, "orders", "windows/amd64 ctl.exe", nil},
		"file not there": {artifactsV2, "ctl", "ctl.exe", []string{"windows/amd64"}},
		"not json":       {"[{]", "hello", "artifacts.json", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fakeGoReleaser(t, "2.16.0", tt.artifacts)
			dir := newRepo(t, map[string]string{".goreleaser.yaml": goreleaserConfigSource})
			_, _, _, err := Pack(t.Context(), PackRequest{Name: "hello", Binary: tt.binary, Dir: dir, Out: t.TempDir(), Build: config.Build{Targets: tt.targets}})
			if err == nil || !strings.Contains(err.Error(), tt.says) || problem.HintOf(err) == "" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	tests := map[string]struct {
		build    config.Build
		files    map[string]string
		onPath   string // version of a goreleaser on PATH
		want     string
		why      string
		problems bool
	}{
		"nothing there":        {want: "native", why: "no .goreleaser.yaml"},
		"told so":              {build: config.Build{Goreleaser: "none"}, files: map[string]string{".goreleaser.yaml": "version: 2"}, onPath: "2.16.0", want: "native", why: "none"},
		"both there":           {files: map[string]string{".goreleaser.yml": "version: 2"}, onPath: "v2.5.0", want: "goreleaser", why: ".goreleaser.yml"},
		"no tool":              {files: map[string]string{".goreleaser.yaml": "version: 2"}, want: "native", why: "no goreleaser on PATH"},
		"tool of version 1":    {files: map[string]string{".goreleaser.yaml": "version: 2"}, onPath: "1.26.2", want: "native", why: "1.26.2"},
		"tool of version 3":    {files: map[string]string{".goreleaser.yaml": "version: 2"}, onPath: "3.0.0", want: "native", why: "3.0.0"},
		"tool too old":         {files: map[string]string{".goreleaser.yaml": "version: 2"}, onPath: "2.4.9", want: "native", why: "2.4.9"},
		"pinned in the module": {files: map[string]string{".goreleaser.yaml": "version: 2", "tools.mod": "tool github.com/goreleaser/goreleaser/v2"}, want: "goreleaser", why: "tools.mod"},
		"module of other tool": {files: map[string]string{".goreleaser.yaml": "version: 2", "tools.mod": "tool example.test/x"}, want: "native", why: "tools.mod"},
		"configured":           {build: config.Build{Goreleaser: "ci/release.yaml"}, files: map[string]string{"ci/release.yaml": "version: 2"}, onPath: "2.16.0", want: "goreleaser", why: "release.yaml"},
		"configured, missing":  {build: config.Build{Goreleaser: "ci/release.yaml"}, onPath: "2.16.0", problems: true},
		"tool, missing":        {build: config.Build{Tool: "bin/goreleaser"}, files: map[string]string{".goreleaser.yaml": "version: 2"}, problems: true},
		"prebuilt":             {build: config.Build{Prebuilt: "bin"}, files: map[string]string{".goreleaser.yaml": "version: 2"}, onPath: "2.16.0", want: "prebuilt", why: "bin"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := newRepo(t, tt.files)
			withoutGoreleaser(t)
			if tt.onPath != "" {
				fakeGoReleaser(t, tt.onPath, artifactsV2)
			}
			builder, why, err := Choose(context.Background(), dir, tt.build)
			if tt.problems {
				if problem.KindOf(err) != problem.Usage || problem.HintOf(err) == "" {
					t.Errorf("chose %v: %v", builder, err)
				}
				return
			}
			if err != nil || builder.Name() != tt.want || !strings.Contains(why, tt.why) {
				t.Errorf("chose %v (%s): %v", builder, why, err)
			}
		})
	}
}

func TestDistOf(t *testing.T) {
	for text, want := range map[string]string{"version: 2\n": "dist", "dist: out/x\n": "out/x", "": "dist"} {
		path := filepath.Join(t.TempDir(), "c.yaml")
		write(t, path, text)
		if got, err := distOf(path); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	if _, err := distOf(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("read a file that is not there")
	}
}
