package packaging

import (
	"bytes"
	"debug/buildinfo"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tc-hib/winres"
	"github.com/tc-hib/winres/version"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/release"
)

func resources(t *testing.T, exe string) *winres.ResourceSet {
	t.Helper()
	rs, err := winres.LoadFromEXE(bytes.NewReader(read(t, exe)))
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// strings16 finds text as Windows stores it.
func hasUTF16(b []byte, text string) bool {
	var wide []byte
	for _, c := range []byte(text) {
		wide = append(wide, c, 0)
	}
	return bytes.Contains(b, wide)
}

func TestExecutablesSayWhatTheyAre(t *testing.T) {
	dir := newRepo(t, map[string]string{"app.ico": icon(t)})
	git(t, dir, "tag", "v1.4.2-rc.1")
	build := config.Build{Goreleaser: "none", Resource: config.Resource{Company: "Hello GmbH", Copyright: "(c) Hello", Icon: "app.ico"}}
	bundle, m := pack(t, dir, build)
	if m.Recipe.Resource.Icon != "app.ico" || m.Recipe.Resource.Product != "hello" {
		t.Errorf("recipe %+v", m.Recipe)
	}
	for _, arch := range []string{"amd64", "arm64"} {
		exe, _ := unpack(t, bundle, arch)
		rs := resources(t, exe)
		raw := rs.Get(winres.RT_VERSION, winres.ID(1), version.LangDefault)
		for _, text := range []string{"Hello GmbH", "(c) Hello", "1.4.2-rc.1", "hello.exe", "ProductName"} {
			if !hasUTF16(raw, text) {
				t.Errorf("%s: the version does not say %q", arch, text)
			}
		}
		if !strings.Contains(string(rs.Get(winres.RT_MANIFEST, winres.ID(1), winres.LCIDNeutral)), "longPathAware") || !has(rs, winres.RT_GROUP_ICON) {
			t.Errorf("%s: no manifest or no icon", arch)
		}
		info, err := buildinfo.ReadFile(exe)
		if err != nil || info.Main.Version != "v1.4.2-rc.1" {
			t.Errorf("%s: build information %v: %v", arch, info, err)
		}
	}
	again, _ := pack(t, newCopy(t, dir), build)
	if !bytes.Equal(read(t, bundle), read(t, again)) {
		t.Error("another time, other bytes")
	}
}

// icon is a small picture as an .ico file.
func icon(t *testing.T) string {
	t.Helper()
	i, err := winres.NewIconFromImages([]image.Image{image.NewNRGBA(image.Rect(0, 0, 16, 16))})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := i.SaveICO(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// What a program brings along stays, and only the rest is added.
func TestOwnResourcesStay(t *testing.T) {
	bundle, _ := pack(t, newRepo(t, nil), config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}, Resource: config.Resource{Company: "First"}})
	exe, _ := unpack(t, bundle, "amd64")
	to := filepath.Join(t.TempDir(), "again.exe")
	if err := stamp(exe, to, label{Resource: config.Resource{Company: "Second"}, version: "9.9.9", time: time.Unix(0, 0)}); err != nil {
		t.Fatal(err)
	}
	raw := resources(t, to).Get(winres.RT_VERSION, winres.ID(1), version.LangDefault)
	if !hasUTF16(raw, "First") || hasUTF16(raw, "Second") || hasUTF16(raw, "9.9.9") {
		t.Error("the program's own version was replaced")
	}
}

func TestSkippedResourceLeavesTheCompilersBytes(t *testing.T) {
	dir := newRepo(t, nil)
	bundle, m := pack(t, dir, config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}, Resource: config.Resource{Skip: true}})
	exe, _ := unpack(t, bundle, "amd64")
	if _, err := winres.LoadFromEXE(bytes.NewReader(read(t, exe))); err == nil {
		t.Error("it has resources")
	}
	by, err := goBuild(t.Context(), BuildRequest{Dir: dir, Binary: "hello", Dist: t.TempDir()}, mustEnv(t, dir),
		"-s -w -X main.version="+m.Version+" -X main.commit="+m.Commit, "windows/amd64")
	if err != nil || by.SHA256 != release.Of(read(t, exe)) {
		t.Errorf("go build makes %s: %v", by.SHA256, err)
	}
}

func mustEnv(t *testing.T, dir string) []string {
	t.Helper()
	env, err := goEnv(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestStampRefuses(t *testing.T) {
	dir := t.TempDir()
	text, bad := filepath.Join(dir, "x.exe"), filepath.Join(dir, "bad.ico")
	write(t, text, "MZ no executable")
	write(t, bad, "no icon")
	if stamp(text, filepath.Join(dir, "out"), label{version: "1.0.0"}) == nil {
		t.Error("stamped a text")
	}
	if err := (label{Resource: config.Resource{Icon: bad}, version: "1.0.0"}).fill(&winres.ResourceSet{}); err == nil {
		t.Error("took a text for an icon")
	}
	if err := (label{Resource: config.Resource{Company: "a\x00b"}, version: "1.0.0"}).fill(&winres.ResourceSet{}); err == nil {
		t.Error("took a name with a NUL")
	}
	if _, err := os.Stat(filepath.Join(dir, "out")); err == nil {
		t.Error("left something behind")
	}
}
