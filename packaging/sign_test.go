package packaging

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging/authenticode"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

func packSigned(t *testing.T, dir string, s config.Sign, warn func(string), targets ...string) (string, Manifest, error) {
	t.Helper()
	if len(targets) == 0 {
		targets = []string{"windows/amd64"}
	}
	path, m, _, err := Pack(t.Context(), PackRequest{
		Name: "hello", Dir: dir, Build: config.Build{Goreleaser: "none", Targets: targets}, Sign: s, Out: t.TempDir(), Log: func(line string) { t.Log(line) }, Warn: warn,
	})
	return path, m, err
}

// unpack puts the executable of a target into a file.
func unpack(t *testing.T, bundle string, arch string) (string, TargetManifest) {
	t.Helper()
	b, err := Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	target, err := b.Target("windows", arch)
	if err != nil {
		t.Fatal(err)
	}
	text, err := readContent(b, executableOf(target).SHA256)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), target.Executable)
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path, target
}

// What is signed here is accepted by the tool that signed, by an independent
// reader of the same format, and is the same each time.
func TestAuthenticode(t *testing.T) {
	needs(t, "osslsigncode")
	for _, kind := range []string{"rsa", "ecdsa"} {
		t.Run(kind, func(t *testing.T) {
			p := newPublisher(t, kind, "Hello GmbH")
			dir := newRepo(t, nil)
			git(t, dir, "tag", "v1.4.2")
			s := config.Sign{Certificate: p.cert, Key: p.key}
			var warned []string
			first, m, err := packSigned(t, dir, s, func(line string) { warned = append(warned, line) }, defaultTargets...)
			if err != nil {
				t.Fatal(err)
			}
			if said := strings.Join(warned, "\n"); strings.Contains(said, "ECDSA") != (kind == "ecdsa") || len(warned) > 1 {
				t.Errorf("warned: %q", warned)
			}
			if kind == "rsa" { // its signatures are the same each time
				second, _, err := packSigned(t, newCopy(t, dir), s, nil, defaultTargets...)
				if err != nil || !bytes.Equal(read(t, first), read(t, second)) {
					t.Errorf("the same commit gave two signed bundles: %v", err)
				}
			}
			_, plain := pack(t, dir, config.Build{Goreleaser: "none"})
			for i, target := range m.Targets {
				exe, target := unpack(t, first, target.GOARCH)
				if target.Unsigned != executableOf(plain.Targets[i]).SHA256 || target.Unsigned == executableOf(target).SHA256 {
					t.Errorf("%s: unsigned %s, built %s", target.Name(), target.Unsigned, executableOf(plain.Targets[i]).SHA256)
				}
				output(t, "osslsigncode", "verify", "-CAfile", p.ca, "-in", exe)
				checkSignature(t, exe, p)
			}
			found, err := Inspect(t.Context(), first, nil)
			if err != nil || found.Signers["windows/arm64"] != "Hello GmbH" {
				t.Errorf("%+v: %v", found.Signers, err)
			}
			if _, err := Rebuild(t.Context(), RebuildRequest{Bundle: first, Source: dir, Log: func(string) {}}); err != nil {
				t.Errorf("build again: %v", err)
			}
		})
	}
}

func newCopy(t *testing.T, dir string) string {
	t.Helper()
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, dir, "clone", "-q", dir, clone)
	return clone
}

func checkSignature(t *testing.T, exe string, p publisher) {
	t.Helper()
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s, err := authenticode.Verify(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Chain(p.roots); err != nil {
		t.Errorf("chain: %v", err)
	}
	if err := s.Chain(newPublisher(t, "ecdsa", "x").roots); err == nil {
		t.Error("a foreign authority vouches for it")
	}
	if s.Time.UTC().Format("2006-01-02T15:04:05Z") != "2026-03-04T05:06:07Z" {
		t.Errorf("signed at %s, not at the commit's time", s.Time)
	}
	if info, err := buildinfo.ReadFile(exe); err != nil || info.Path != "example.test/hello" {
		t.Errorf("build information: %v", err)
	}
}

// The password of a key is nowhere where others could read it.
func TestPasswordIsInNoCommandLine(t *testing.T) {
	needs(t, "osslsigncode", "openssl", "sh")
	p := newPublisher(t, "rsa", "Hello GmbH")
	sealed, p12 := p.key+".sealed", p.key+".p12"
	output(t, "openssl", "pkcs8", "-topk8", "-in", p.key, "-out", sealed, "-passout", "pass:top-secret")
	output(t, "openssl", "pkcs12", "-export", "-inkey", p.key, "-in", p.cert, "-out", p12, "-passout", "pass:top-secret")
	t.Setenv("CODE_PASSWORD", "top-secret")
	seen := spy(t, "osslsigncode")
	dir := newRepo(t, nil)
	for name, s := range map[string]config.Sign{
		"pem":    {Certificate: p.cert, Key: sealed, Password: "${env:CODE_PASSWORD}"},
		"pkcs12": {PKCS12: p12, Password: "${env:CODE_PASSWORD}"},
	} {
		bundle, _, err := packSigned(t, dir, s, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		exe, _ := unpack(t, bundle, "amd64")
		checkSignature(t, exe, p)
	}
	if args := string(read(t, seen)); !strings.Contains(args, "-readpass") || strings.Contains(args, "top-secret") {
		t.Errorf("called with %s", args)
	}
	_, _, err := packSigned(t, dir, config.Sign{PKCS12: p12, Password: "${env:NO_SUCH_VARIABLE}"}, nil)
	if problem.KindOf(err) != problem.Usage || !strings.Contains(err.Error(), "NO_SUCH_VARIABLE") {
		t.Errorf("no password: %v", err)
	}
	t.Setenv("CODE_PASSWORD", "wrong")
	if _, _, err = packSigned(t, dir, config.Sign{PKCS12: p12, Password: "${env:CODE_PASSWORD}"}, nil); err == nil || strings.Contains(err.Error(), "wrong ") {
		t.Errorf("wrong password: %v", err)
	}
}

// spy puts a program first on PATH that writes down its arguments and then
// does what the real one does.
func spy(t *testing.T, name string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "args")
	real := strings.TrimSpace(output(t, "sh", "-c", "command -v "+name))
	script(t, filepath.Join(dir, name), `echo "$@" >> "`+log+`"
exec "`+real+`" "$@"`)
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return log
}

func script(t *testing.T, path, body string) {
	t.Helper()
	write(t, path, "#!/bin/sh\n"+body+"\n")
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestSignCommand(t *testing.T) {
	needs(t, "osslsigncode", "sh")
	p := newPublisher(t, "rsa", "Hello GmbH")
	dir := newRepo(t, nil)
	bin := t.TempDir()
	sign := `osslsigncode sign -certs ` + p.cert + ` -key ` + p.key + ` -in "$1" -out "$1.x" >/dev/null && mv "$1.x" "$1"`
	script(t, filepath.Join(bin, "sign"), `test "$SHIPPER_SIGN_PASSWORD" = top-secret || exit 9
test "$2 $3" = "hello 0.0.0-20260304050607.`+git(t, dir, "rev-parse", "HEAD")[:7]+`" || exit 8
`+sign)
	script(t, filepath.Join(bin, "last"), sign)
	script(t, filepath.Join(bin, "idle"), "exit 0")
	script(t, filepath.Join(bin, "vandal"), sign+` && printf X | dd of="$1" bs=1 seek=2000 conv=notrunc status=none`)
	script(t, filepath.Join(bin, "fails"), "echo the token is gone; exit 1")
	t.Setenv("CODE_PASSWORD", "top-secret")
	tests := map[string]struct {
		sign config.Sign
		says string
		kind problem.Kind
	}{
		"with words":     {config.Sign{Command: []string{bin + "/sign", "{{.File}}", "{{.Name}}", "{{.Version}}"}, Password: "${env:CODE_PASSWORD}"}, "", 0},
		"file at end":    {config.Sign{Command: []string{bin + "/last"}}, "", 0},
		"does nothing":   {config.Sign{Command: []string{bin + "/idle"}}, "not signed", problem.Verification},
		"changes more":   {config.Sign{Command: []string{bin + "/vandal"}}, "more of hello.exe than its signature", problem.Verification},
		"fails":          {config.Sign{Command: []string{bin + "/fails"}}, "the token is gone", problem.Failed},
		"is not there":   {config.Sign{Command: []string{bin + "/none"}}, "none", problem.Failed},
		"unknown word":   {config.Sign{Command: []string{bin + "/last", "{{.Nothing}}"}}, "Nothing", problem.Usage},
		"no certificate": {config.Sign{Certificate: bin + "/none.pem", Key: p.key}, "osslsigncode", problem.Failed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var warned []string
			path, _, err := packSigned(t, dir, tt.sign, func(line string) { warned = append(warned, line) })
			if tt.says != "" {
				if err == nil || problem.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("kind %d: %v", problem.KindOf(err), err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			exe, target := unpack(t, path, "amd64")
			if _, err := signatureOf(exe); err != nil || target.Unsigned == "" {
				t.Errorf("unsigned %q: %v", target.Unsigned, err)
			}
			if len(warned) != 1 || !strings.Contains(warned[0], "sign.command") {
				t.Errorf("warned: %q", warned)
			}
		})
	}
}

func TestNoTimestampNoWarning(t *testing.T) {
	plain := config.Sign{Certificate: "x", Key: "y"}
	stamped := plain
	stamped.Timestamp = "http://x"
	for says, s := range map[string]*signer{"": {Sign: plain}, "sign.timestamp": {Sign: stamped}, "ECDSA": {Sign: plain, ecdsa: true}} {
		if why := s.varies(); !strings.Contains(why, says) || (says == "") != (why == "") {
			t.Errorf("%q, not of %q", why, says)
		}
	}
}

// What was signed elsewhere comes as it is, signature included.
func TestPrebuiltKeepsItsSignature(t *testing.T) {
	needs(t, "osslsigncode")
	p, other := newPublisher(t, "rsa", "Maker"), newPublisher(t, "rsa", "Packer")
	dir := newRepo(t, nil)
	bundle, _, err := packSigned(t, dir, config.Sign{Certificate: p.cert, Key: p.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	exe, target := unpack(t, bundle, "amd64")
	path, m, _, err := Pack(t.Context(), PackRequest{
		Name: "hello", Dir: dir, Build: config.Build{Prebuilt: filepath.Dir(exe), Targets: []string{"windows/amd64"}},
		Sign: config.Sign{Certificate: other.cert, Key: other.key}, Out: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if executableOf(m.Targets[0]).SHA256 != executableOf(target).SHA256 || m.Builder != FromPrebuilt || m.Recipe != nil {
		t.Errorf("manifest %+v", m)
	}
	found, err := Inspect(t.Context(), path, nil)
	if err != nil || found.Signers["windows/amd64"] != "Maker" {
		t.Errorf("%v: %v", found.Signers, err)
	}
	if _, err := Rebuild(t.Context(), RebuildRequest{Bundle: path, Source: dir}); problem.KindOf(err) != problem.Usage {
		t.Errorf("built again: %v", err)
	}
}

// A manifest that says an executable is signed does not make it so.
func TestMissingAuthenticodeIsFound(t *testing.T) {
	_, m := pack(t, newRepo(t, nil), config.Build{Goreleaser: "none", Targets: []string{"windows/amd64"}})
	text := "MZ"
	m.Targets[0].Files = []release.File{{Path: "hello.exe", Size: 2, SHA256: release.Of([]byte(text))}}
	m.Targets[0].SBOM, m.Targets[0].Unsigned = nil, release.Of([]byte("before"))
	path := filepath.Join(t.TempDir(), "b.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = WriteBundle(f, m, func(TargetManifest, release.File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text)), nil
	})
	if err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(context.Background(), path, nil); problem.KindOf(err) != problem.Verification {
		t.Errorf("%v", err)
	}
}
