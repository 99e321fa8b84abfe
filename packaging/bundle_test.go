package packaging

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

func readContent(b *Bundle, d release.Digest) ([]byte, error) {
	r, err := b.Content(d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// sample is a manifest and the contents of its files, by digest.
func sample(texts map[string]string) (Manifest, Contents) {
	m := Manifest{Protocol: Protocol, Name: "orders", Version: "1.4.2", Builder: "native"}
	byDigest := map[release.Digest]string{}
	for _, arch := range []string{"arm64", "amd64"} {
		t := TargetManifest{GOOS: "windows", GOARCH: arch, Executable: "orders.exe"}
		for name, text := range texts {
			f := release.File{Path: name, Size: int64(len(text)), SHA256: release.Of([]byte(text))}
			byDigest[f.SHA256] = text
			t.Files = append(t.Files, f)
		}
		m.Targets = append(m.Targets, t)
	}
	return m, func(_ TargetManifest, f release.File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(byDigest[f.SHA256])), nil
	}
}

func sampleBundle(t testing.TB) []byte {
	t.Helper()
	m, contents := sample(map[string]string{"orders.exe": "MZ" + strings.Repeat("\x90", 300), "etc/app.ini": "k=v"})
	var out bytes.Buffer
	if _, err := WriteBundle(&out, m, contents); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWriteAndRead(t *testing.T) {
	raw := sampleBundle(t)
	if !bytes.Equal(raw, sampleBundle(t)) {
		t.Fatal("two writes differ")
	}
	b, err := Read(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	target, err := b.Target("windows", "amd64")
	if err != nil || target.Files[0].Path != "etc/app.ini" {
		t.Fatalf("target %+v: %v", target, err)
	}
	content, err := readContent(b, target.Files[0].SHA256)
	if err != nil || string(content) != "k=v" {
		t.Errorf("content %q: %v", content, err)
	}
	if !b.Release().Holds(target.Files, b.Manifest.TargetDigests()) {
		t.Error("a host could not check its part of the release")
	}
	if _, err := b.Target("linux", "amd64"); problem.KindOf(err) != problem.Usage || !strings.Contains(err.Error(), "windows/arm64") {
		t.Errorf("missing target: %v", err)
	}
	if _, err := b.Content(release.Of([]byte("other"))); err == nil {
		t.Error("gave a content it does not have")
	}
}

func TestFlippedByteIsRefused(t *testing.T) {
	raw := sampleBundle(t)
	for i := range raw {
		for _, mask := range []byte{0x01, 0x80, byte(1 + rand.IntN(255))} {
			bad := bytes.Clone(raw)
			bad[i] ^= mask
			if _, err := Read(bytes.NewReader(bad), int64(len(bad))); err == nil {
				t.Fatalf("accepted with byte %d of %d changed by %#x", i, len(raw), mask)
			}
		}
	}
}

func TestCutOrLongerIsRefused(t *testing.T) {
	raw := sampleBundle(t)
	for n := range raw {
		if _, err := Read(bytes.NewReader(raw[:n]), int64(n)); err == nil {
			t.Fatalf("accepted the first %d of %d bytes", n, len(raw))
		}
	}
	long := append(bytes.Clone(raw), 0)
	if _, err := Read(bytes.NewReader(long), int64(len(long))); err == nil {
		t.Error("accepted one byte more")
	}
}

func TestOpenSortsProblems(t *testing.T) {
	raw := sampleBundle(t)
	flipped := bytes.Clone(raw)
	flipped[len(flipped)/2] ^= 1
	dir := t.TempDir()
	write(t, filepath.Join(dir, "text.zip"), "this is no archive, however long it may be: "+strings.Repeat("x", 500))
	write(t, filepath.Join(dir, "flipped.zip"), string(flipped))
	write(t, filepath.Join(dir, "good.zip"), string(raw))
	tests := map[string]problem.Kind{"text.zip": problem.Usage, "missing.zip": problem.Usage, ".": problem.Usage, "flipped.zip": problem.Verification}
	for name, want := range tests {
		_, err := Open(filepath.Join(dir, name))
		if err == nil || problem.KindOf(err) != want || problem.HintOf(err) == "" {
			t.Errorf("%s: kind %d, hint %q: %v", name, problem.KindOf(err), problem.HintOf(err), err)
		}
	}
	b, err := Open(filepath.Join(dir, "good.zip"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// forge writes an archive with a valid seal: what somebody can make who
// knows the format.
func forge(t testing.TB, m Manifest, entries map[string]string) []byte {
	t.Helper()
	head, err := encodeManifest(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	seal := &sealer{w: &out, sum: sha256.New()}
	z := zip.NewWriter(seal)
	if err := z.SetComment(strings.Repeat(" ", sealSize)); err != nil {
		t.Fatal(err)
	}
	entries[manifestName] = string(head)
	for name, text := range entries {
		if err := addEntry(z, name, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), seal.close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestForgedBundlesAreRefused(t *testing.T) {
	text := "MZ"
	file := func(path string) release.File {
		return release.File{Path: path, Size: int64(len(text)), SHA256: release.Of([]byte(text))}
	}
	good := func() (Manifest, map[string]string) {
		m := Manifest{Protocol: Protocol, Name: "orders", Version: "1.0.0", Targets: []TargetManifest{{
			GOOS: "windows", GOARCH: "amd64", Executable: "orders.exe", Files: []release.File{file("orders.exe")}}}}
		m.Digest = release.TargetsDigest(m.TargetDigests())
		return m, map[string]string{"windows_amd64/orders.exe": text}
	}
	m, entries := good()
	raw := forge(t, m, entries)
	if _, err := Read(bytes.NewReader(raw), int64(len(raw))); err != nil {
		t.Fatalf("the unforged one is refused: %v", err)
	}
	tests := map[string]func(*Manifest, map[string]string){
		"newer protocol":   func(m *Manifest, _ map[string]string) { m.Protocol++ },
		"no version":       func(m *Manifest, _ map[string]string) { m.Version = "1.0" },
		"version escapes":  func(m *Manifest, _ map[string]string) { m.Version = "../1.0.0" },
		"name escapes":     func(m *Manifest, _ map[string]string) { m.Name = "a/b" },
		"no targets":       func(m *Manifest, _ map[string]string) { m.Targets = nil },
		"target twice":     func(m *Manifest, _ map[string]string) { m.Targets = append(m.Targets, m.Targets[0]) },
		"strange target":   func(m *Manifest, _ map[string]string) { m.Targets[0].GOOS = "../w" },
		"other executable": func(m *Manifest, _ map[string]string) { m.Targets[0].Executable = "cmd.exe" },
		"no executable":    func(m *Manifest, _ map[string]string) { m.Targets[0].Executable = "" },
		"other digest":     func(m *Manifest, _ map[string]string) { m.Digest = release.Of(nil) },
		"other contents":   func(_ *Manifest, e map[string]string) { e["windows_amd64/orders.exe"] = "XX" },
		"longer contents":  func(_ *Manifest, e map[string]string) { e["windows_amd64/orders.exe"] += "X" },
		"one file more":    func(_ *Manifest, e map[string]string) { e["windows_amd64/more.exe"] = text },
		"one file less":    func(_ *Manifest, e map[string]string) { delete(e, "windows_amd64/orders.exe") },
		"negative size":    func(m *Manifest, _ map[string]string) { m.Targets[0].Files[0].Size = -1 },
		"enormous size":    func(m *Manifest, _ map[string]string) { m.Targets[0].Files[0].Size = 1 << 60 },
		"short digest":     func(m *Manifest, _ map[string]string) { m.Targets[0].Files[0].SHA256 = "ab" },
		"path escapes": func(m *Manifest, e map[string]string) {
			m.Targets[0].Files = append(m.Targets[0].Files, file("../../x.exe"))
			e["windows_amd64/../../x.exe"] = text
			m.Digest = release.TargetsDigest(m.TargetDigests())
		},
		"case collides": func(m *Manifest, e map[string]string) {
			m.Targets[0].Files = append(m.Targets[0].Files, file("Orders.EXE"))
			e["windows_amd64/Orders.EXE"] = text
			m.Digest = release.TargetsDigest(m.TargetDigests())
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			m, entries := good()
			change(&m, entries)
			raw := forge(t, m, entries)
			if _, err := Read(bytes.NewReader(raw), int64(len(raw))); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// A manifest that announces little while the stream goes on must not be read
// to the end.
func TestBombIsRefused(t *testing.T) {
	zeros := strings.Repeat("\x00", 64<<20)
	m := Manifest{Protocol: Protocol, Name: "orders", Version: "1.0.0", Targets: []TargetManifest{{
		GOOS: "windows", GOARCH: "amd64", Executable: "orders.exe",
		Files: []release.File{{Path: "orders.exe", Size: 10, SHA256: release.Of([]byte(zeros[:10]))}}}}}
	m.Digest = release.TargetsDigest(m.TargetDigests())
	raw := forge(t, m, map[string]string{"windows_amd64/orders.exe": zeros})
	if _, err := Read(bytes.NewReader(raw), int64(len(raw))); err == nil {
		t.Error("accepted")
	}
}

func TestContentsThatChangeWhileWritten(t *testing.T) {
	m, _ := sample(map[string]string{"orders.exe": "MZ"})
	_, err := WriteBundle(io.Discard, m, func(TargetManifest, release.File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("MY")), nil
	})
	if err == nil {
		t.Error("wrote contents that are not those of the manifest")
	}
}

func FuzzRead(f *testing.F) {
	raw := sampleBundle(f)
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Fuzz(func(t *testing.T, b []byte) {
		// The fuzzer cannot guess a SHA-256, so the seal is made to fit.
		if n := len(b) - sealSize; n > 0 {
			sum := sha256.Sum256(b[:n])
			b = append(bytes.Clone(b[:n]), sealPrefix+hex.EncodeToString(sum[:])...)
		}
		bundle, err := Read(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if err := bundle.Manifest.check(); err != nil {
			t.Errorf("opened with %v", err)
		}
	})
}
