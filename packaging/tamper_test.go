package packaging

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

// vouched is a bundle that a key signed, and the key.
func vouched(t testing.TB) ([]byte, attest.Key) {
	t.Helper()
	private, err := newKey(Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	key, err := attest.KeyOf(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	m, contents := sample(map[string]string{"orders.exe": "MZ" + strings.Repeat("\x90", 50), "etc/app.ini": "k=v"})
	m.Targets = m.Targets[:1]
	text := `{"bomFormat":"CycloneDX"}`
	f := release.File{Path: sbomName(m.Targets[0]), Size: int64(len(text)), SHA256: release.Of([]byte(text))}
	m.Targets[0].SBOM = &f
	var out bytes.Buffer
	_, err = writeBundle(&out, m, func(t TargetManifest, f release.File) (io.ReadCloser, error) {
		if f == *t.SBOM {
			return io.NopCloser(strings.NewReader(text)), nil
		}
		return contents(t, f)
	}, &voucher{key: private})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), key
}

// inside reads the entries of a bundle, without any check.
func entriesOf(t testing.TB, raw []byte) (names []string, texts map[string][]byte) {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	texts = map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		names, texts[f.Name] = append(names, f.Name), text
	}
	return names, texts
}

// seal packs entries as somebody does who knows the format.
func seal(t testing.TB, names []string, texts map[string][]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	s := &sealer{w: &out, sum: sha256.New()}
	z := zip.NewWriter(s)
	if err := z.SetComment(strings.Repeat(" ", sealSize)); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		header := &zip.FileHeader{Name: name, Method: zip.Store}
		w, err := z.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "/") { // a folder has no contents
			continue
		}
		if _, err := w.Write(texts[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(z.Close(), s.close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// packAnew writes a bundle of the same manifest with these contents: all
// digests fit.
func packAnew(t testing.TB, m Manifest, texts map[string][]byte) []byte {
	t.Helper()
	for i := range m.Targets {
		for j := range m.Targets[i].Files {
			f := &m.Targets[i].Files[j]
			text := texts[entryName(m.Targets[i], *f)]
			f.Size, f.SHA256 = int64(len(text)), release.Of(text)
		}
	}
	var out bytes.Buffer
	_, err := WriteBundle(&out, m, func(t TargetManifest, f release.File) (io.ReadCloser, error) {
		name := entryName(t, f)
		if t.SBOM != nil && f == *t.SBOM {
			name = f.Path
		}
		return io.NopCloser(bytes.NewReader(texts[name])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// accepts opens a bundle as a deploy does that trusts the key.
func accepts(raw []byte, trust attest.Trust) error {
	b, err := Read(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return err
	}
	_, err = b.Trusted(trust)
	return err
}

// A flipped byte in any place of the archive is refused with exit code 8.
func TestFlippedByteOfTheArchive(t *testing.T) {
	raw, key := vouched(t)
	trust := attest.TrustOf([]attest.Key{key}, true)
	if err := accepts(raw, trust); err != nil {
		t.Fatalf("the unchanged one: %v", err)
	}
	path := filepath.Join(t.TempDir(), "b.zip")
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= byte(1 + rand.IntN(255))
		write(t, path, string(bad))
		b, err := Open(path)
		if err == nil {
			_, err = b.Trusted(trust)
			b.Close()
		}
		if problem.KindOf(err) != problem.Verification {
			t.Fatalf("byte %d of %d changed: kind %d: %v", i, len(raw), problem.KindOf(err), err)
		}
	}
	for n := 4; n < len(raw); n++ {
		write(t, path, string(raw[:n]))
		if _, err := Open(path); problem.KindOf(err) != problem.Verification {
			t.Fatalf("the first %d bytes: kind %d: %v", n, problem.KindOf(err), err)
		}
	}
}

// Nor does it help to change a byte of any entry and to pack it all anew.
func TestFlippedByteOfAnyEntry(t *testing.T) {
	raw, key := vouched(t)
	trust := attest.TrustOf([]attest.Key{key}, true)
	names, texts := entriesOf(t, raw)
	if want := []string{"manifest.json", "attestation.sigstore.json", "sbom/windows_arm64.cdx.json", "windows_arm64/etc/app.ini", "windows_arm64/orders.exe"}; !slices.Equal(names, want) {
		t.Fatalf("entries %v", names)
	}
	if err := accepts(seal(t, names, texts), trust); err != nil {
		t.Fatalf("packed anew, unchanged: %v", err)
	}
	for _, name := range names {
		for i := range texts[name] {
			bad := maps.Clone(texts)
			bad[name] = bytes.Clone(texts[name])
			bad[name][i] ^= 1 << rand.IntN(8)
			if accepts(seal(t, names, bad), trust) == nil {
				t.Fatalf("accepted with byte %d of %s changed", i, name)
			}
		}
	}
}

// What somebody can do who has the format, and even a key, but not ours.
func TestForgedEvidence(t *testing.T) {
	raw, key := vouched(t)
	other, otherKey := vouched(t)
	trust := attest.TrustOf([]attest.Key{key}, true)
	names, texts := entriesOf(t, raw)
	_, foreign := entriesOf(t, other)
	without := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == attestationName })
	tests := map[string][]byte{
		"no attestation":      seal(t, without, texts),
		"empty attestation":   seal(t, names, with(texts, attestationName, nil)),
		"foreign key":         other,
		"foreign attestation": seal(t, names, with(texts, attestationName, foreign[attestationName])),
		"huge attestation":    seal(t, names, with(texts, attestationName, bytes.Repeat([]byte(" "), attest.MaxSize+1))),
		"attestation twice":   seal(t, append(slices.Clone(names), attestationName), texts),
		"other version":       seal(t, names, with(texts, manifestName, bytes.Replace(texts[manifestName], []byte(`"1.4.2"`), []byte(`"1.4.3"`), 1))),
		"more in manifest":    seal(t, names, with(texts, manifestName, bytes.Replace(texts[manifestName], []byte("{"), []byte(`{"x":1,`), 1))),
		"no SBOM":             seal(t, slices.DeleteFunc(slices.Clone(names), func(n string) bool { return strings.HasPrefix(n, "sbom/") }), texts),
		"SBOM of another":     seal(t, names, with(texts, "sbom/windows_arm64.cdx.json", []byte(`{"bomFormat":"Cyclonedx"}`))),
	}
	for name, bad := range tests {
		if accepts(bad, trust) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := accepts(tests["no attestation"], attest.Trust{}); err != nil {
		t.Errorf("unsigned, and nobody asks: %v", err)
	}
	if err := accepts(other, attest.TrustOf([]attest.Key{key, otherKey}, true)); err != nil {
		t.Errorf("either key: %v", err)
	}
}

func with(texts map[string][]byte, name string, text []byte) map[string][]byte {
	changed := maps.Clone(texts)
	changed[name] = text
	return changed
}

// An archive may not hold what could land outside a release, or not at all on
// Windows; whatever its manifest says of it.
func TestNamesThatAreRefused(t *testing.T) {
	names := []string{
		"../x.exe", "a/../../x.exe", "/etc/passwd", `C:\x.exe`, "C:/x.exe", `..\x.exe`, `\\server\share\x`, "//server/share/x",
		"CON", "aux.txt", "nul", "COM1.log", "a/LPT9", "CONIN$", "orders.exe:stream", "orders.exe::$DATA", "Orders.EXE", "ORDERS.exe/x",
		"a.", "a ", "LONGNA~1.EXE", "a\x00b", "a\nb", "a?", "a|b", "", ".", "a//b", strings.Repeat("x/", 90) + "x", strings.Repeat("a", release.MaxPath+1),
		"\xff", ".shipper-manifest.json/../x",
	}
	text := "MZ"
	for _, name := range names {
		m := Manifest{Protocol: Protocol, Name: "orders", Version: "1.0.0", Targets: []TargetManifest{{
			GOOS: "windows", GOARCH: "amd64", Executable: "orders.exe", Files: []release.File{
				{Path: "orders.exe", Size: 2, SHA256: release.Of([]byte(text))}, {Path: name, Size: 2, SHA256: release.Of([]byte(text))}}}}}
		m.Digest = release.TargetsDigest(m.TargetDigests())
		head, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		raw := seal(t, []string{manifestName, "windows_amd64/orders.exe", "windows_amd64/" + name},
			map[string][]byte{manifestName: head, "windows_amd64/orders.exe": []byte(text), "windows_amd64/" + name: []byte(text)})
		if _, err := Read(bytes.NewReader(raw), int64(len(raw))); err == nil {
			t.Errorf("accepted %q", name)
		}
	}
}

// Entries that overlap, or say that they are larger or smaller than they are.
func TestBombsAreRefused(t *testing.T) {
	raw, _ := vouched(t)
	names, texts := entriesOf(t, raw)
	texts["windows_arm64/orders.exe"] = bytes.Repeat([]byte{0}, 1<<20)
	if _, err := Read(bytes.NewReader(seal(t, names, texts)), int64(len(raw))); err == nil {
		t.Error("accepted a file that is larger than its manifest says")
	}
	many := slices.Clone(names)
	for i := range 100 {
		name := "windows_arm64/" + strings.Repeat("x", i+1)
		many, texts[name] = append(many, name), []byte("x")
	}
	big := seal(t, many, texts)
	if _, err := Read(bytes.NewReader(big), int64(len(big))); err == nil {
		t.Error("accepted files that no manifest names")
	}
}

func FuzzBundle(f *testing.F) {
	raw, key := vouched(f)
	trust := attest.TrustOf([]attest.Key{key}, true)
	names, texts := entriesOf(f, raw)
	for _, name := range names {
		f.Add(name, texts[name])
	}
	f.Add("windows_arm64/../x", []byte("x"))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		list := names
		if !slices.Contains(names, name) {
			list = append(slices.Clone(names), name)
		}
		if len(name) > 1000 || bytes.Equal(texts[name], text) && slices.Contains(names, name) {
			return
		}
		if accepts(seal(t, list, with(texts, name, text)), trust) == nil {
			t.Errorf("accepted with entry %q changed", name)
		}
	})
}

// Other tools accept what we sign, and refuse what we refuse.
func TestCosignAcceptsIt(t *testing.T) {
	cosign, err := exec.LookPath("cosign")
	if err != nil {
		t.Skip("no cosign here: go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3, then `make test-integration`")
	}
	for _, kind := range []string{Ed25519, ECDSA} {
		key := filepath.Join(t.TempDir(), "release.key")
		if _, err := Keygen(key, kind, ""); err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		bundle, _, _, err := Pack(t.Context(), PackRequest{
			Name: "hello", Dir: newRepo(t, nil), Out: out, Attest: config.Attest{Key: key},
			Build: config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, texts := entriesOf(t, read(t, bundle))
		inner := filepath.Join(out, "attestation")
		exe := filepath.Join(out, "hello.exe")
		write(t, inner, string(texts[attestationName]))
		write(t, exe, string(texts["windows_amd64/hello.exe"]))
		verify := func(evidence, blob string) error {
			cmd := exec.Command(cosign, "verify-blob-attestation", "--key", key+".pub", "--bundle", evidence, "--insecure-ignore-tlog=true", "--type", "slsaprovenance1", blob)
			cmd.Env = append(os.Environ(), "HOME="+out)
			said, err := cmd.CombinedOutput()
			t.Logf("%s", said)
			return err
		}
		if err := errors.Join(verify(bundle+sidecarSuffix, bundle), verify(inner, exe)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		write(t, exe, string(texts["windows_amd64/hello.exe"])+"x")
		if verify(inner, exe) == nil {
			t.Errorf("%s: accepted another executable", kind)
		}
	}
}

func TestChecksums(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), "a")
	good := checksum("a", release.Of([]byte("a")))
	for text, ok := range map[string]bool{
		good: true, "": true, good + checksum("missing", release.Of(nil)): true, checksum("a", release.Of(nil)): false,
		"x  a\n": false, checksum("../a", release.Of(nil)): false, checksum("/etc/passwd", release.Of(nil)): false, hex.EncodeToString([]byte("a")) + "\n": false,
	} {
		if err := checkSums(dir, text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
