package main

import (
	archive "archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs a program and returns its exit code and all that it said.
func call(name string, in []byte, args ...string) (int, string) {
	var out bytes.Buffer
	code := run(name, args, console{bytes.NewReader(in), &out, &out})
	return code, out.String()
}

func TestFindstr(t *testing.T) {
	long := strings.Repeat("x", 9000)
	cases := []struct {
		in, out string
		code    int
		args    []string
	}{
		{"a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n", 0, []string{"^"}},
		{"", "", 1, []string{"^"}},
		{"a\n" + long + "\nb\n", "a\nFINDSTR: Line 2 is too long.\r\nb\n", 0, []string{"^"}},
		{"a\n", "FINDSTR: Bad command line\n", 2, []string{"a", "b"}},
	}
	for _, c := range cases {
		if code, out := call("findstr.exe", []byte(c.in), c.args...); code != c.code || out != c.out {
			t.Errorf("%.20q: %d, %.80q", c.in, code, out)
		}
	}
}

type member struct {
	name, content string
	kind          byte
}

func archiveOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b)
	for _, m := range members {
		h := &archive.Header{Name: m.name, Size: int64(len(m.content)), Mode: 0o644, Typeflag: m.kind}
		if m.kind == archive.TypeSymlink {
			h.Linkname, h.Size = "/etc", 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestTar(t *testing.T) {
	good := archiveOf(t, member{"dir/", "", archive.TypeDir}, member{"dir/a.txt", "alpha", archive.TypeReg})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(good)
	z.Close()
	for _, test := range []struct {
		name    string
		in      []byte
		args    []string
		code    int
		says    string
		content string // of dir/a.txt afterwards
	}{
		{"extract", good, []string{"-xf", "-", "-C", "DIR"}, 0, "", "alpha"},
		{"bundled, no dash", good, []string{"xf", "-", "-CDIR"}, 0, "", "alpha"},
		{"gzip", zipped.Bytes(), []string{"-x", "-f", "-", "-C", "DIR"}, 0, "", "alpha"},
		{"list", good, []string{"-tf", "-", "-C", "DIR"}, 0, "dir/\r\ndir/a.txt\r\n", ""},
		{"empty", nil, []string{"-xf", "-", "-C", "DIR"}, 0, "", ""},
		{"no archive", []byte(strings.Repeat("no archive ", 100)), []string{"-xf", "-", "-C", "DIR"}, 1, "Unrecognized archive format", ""},
		{"truncated", good[:1024+2], []string{"-xf", "-", "-C", "DIR"}, 1, "Truncated", "al"},
		{"no folder", good, []string{"-xf", "-", "-C", "DIR/missing"}, 1, "could not chdir", ""},
		{"unknown option", good, []string{"-xf", "-", "-J"}, 1, "not supported", ""},
		{"nothing to do", good, []string{"-f", "-"}, 1, "Must specify", ""},
		{"dots", archiveOf(t, member{"../evil", "x", archive.TypeReg}, member{"dir/a.txt", "alpha", archive.TypeReg}), []string{"-xf", "-", "-C", "DIR"}, 1, "Path contains '..'", "alpha"},
		{"backslash dots", archiveOf(t, member{`dir\..\..\evil`, "x", archive.TypeReg}), []string{"-xf", "-", "-C", "DIR"}, 1, "Path contains '..'", ""},
		{"absolute", archiveOf(t, member{"/dir/a.txt", "alpha", archive.TypeReg}), []string{"-xf", "-", "-C", "DIR"}, 0, "", "alpha"},
		{"link", archiveOf(t, member{"dir", "", archive.TypeSymlink}), []string{"-xf", "-", "-C", "DIR"}, 1, "Can't create", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			dir := t.TempDir()
			var args []string
			for _, a := range test.args {
				args = append(args, strings.ReplaceAll(a, "DIR", dir))
			}
			code, said := call("tar.exe", test.in, args...)
			if code != test.code || !strings.Contains(said, test.says) {
				t.Errorf("exit %d, said %q; want exit %d, %q", code, said, test.code, test.says)
			}
			content, _ := os.ReadFile(filepath.Join(dir, "dir", "a.txt"))
			if string(content) != test.content {
				t.Errorf("dir/a.txt holds %q, want %q", content, test.content)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "evil")); err == nil {
				t.Error("a file was written outside of the folder")
			}
		})
	}
}

func TestTarReplacesFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := t.TempDir()
	for _, content := range []string{"one", "two"} {
		if code, said := call("tar", archiveOf(t, member{"a", content, archive.TypeReg}), "-xf", "-", "-C", dir); code != 0 {
			t.Fatal(said)
		}
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "a")); string(got) != "two" {
		t.Errorf("got %q", got)
	}
}

func TestCertutil(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("SHA256 hash of %s:\r\n%x\r\nCertUtil: -hashfile command completed successfully.\r\n", file, sha256.Sum256([]byte("hello")))
	if code, said := call("CertUtil.exe", nil, "-hashfile", file, "sha256"); code != 0 || said != want {
		t.Errorf("exit %d, said %q, want %q", code, said, want)
	}
	if code, said := call("certutil", nil, "-hashfile", file+"x", "SHA256"); uint32(code) != 0x80070002 || !strings.Contains(said, "FAILED: 0x80070002") {
		t.Errorf("missing file: exit %#x, said %q", uint32(code), said)
	}
	empty := filepath.Join(dir, "empty")
	os.WriteFile(empty, nil, 0o600)
	if code, _ := call("certutil", nil, "-hashfile", empty); uint32(code) != 0x800703ee {
		t.Errorf("empty file: exit %#x", uint32(code))
	}
	if code, _ := call("certutil", nil, "-frobnicate"); uint32(code) != 0x80070057 {
		t.Errorf("unknown verb: exit %#x", uint32(code))
	}
}

func TestCertutilDecode(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	os.WriteFile(in, []byte("-----BEGIN CERTIFICATE-----\r\naGVs\r\nbG8=\r\n-----END CERTIFICATE-----\r\n"), 0o600)
	if code, said := call("certutil", nil, "-decode", in, out); code != 0 || !strings.Contains(said, "Output Length = 5") {
		t.Fatalf("exit %d, said %q", code, said)
	}
	if got, _ := os.ReadFile(out); string(got) != "hello" {
		t.Errorf("decoded %q", got)
	}
	if code, _ := call("certutil", nil, "-decode", in, out); uint32(code) != 0x80070050 {
		t.Errorf("existing file: exit %#x", uint32(code))
	}
	if code, _ := call("certutil", nil, "-f", "-decode", in, out); code != 0 {
		t.Errorf("-f: exit %#x", uint32(code))
	}
	os.WriteFile(in, []byte("*"), 0o600)
	if code, _ := call("certutil", nil, "-f", "-decode", in, out); uint32(code) != 0x8007000d {
		t.Errorf("no base64: exit %#x", uint32(code))
	}
}

// icaclsOn runs icacls with a log of its own.
func icaclsOn(log string, args ...string) (int, string) {
	var out bytes.Buffer
	code := (&icacls{console: console{out: &out, err: &out}, log: log}).run(args)
	return code, out.String()
}

func TestIcaclsRemembers(t *testing.T) {
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	child := filepath.Join(dir, "child")
	if err := os.Mkdir(child, 0o700); err != nil {
		t.Fatal(err)
	}
	if code, said := icaclsOn(log, dir); code != 0 || !strings.Contains(said, `BUILTIN\Users:(I)(OI)(CI)(RX)`) {
		t.Fatalf("untouched: exit %d, said %q", code, said)
	}
	code, said := icaclsOn(log, dir, "/inheritance:r", "/grant:r", "*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F", `NT SERVICE\x-blue:(OI)(CI)RX`, "/setowner", "*S-1-5-32-544", "/T", "/Q")
	if code != 0 || said != "" {
		t.Fatalf("grant: exit %d, said %q", code, said)
	}
	want := dir + ` NT AUTHORITY\SYSTEM:(OI)(CI)(F)` + "\r\n"
	_, said = icaclsOn(log, dir)
	if !strings.HasPrefix(said, want) || strings.Contains(said, "Users") || !strings.Contains(said, `NT SERVICE\x-blue:(OI)(CI)(RX)`) {
		t.Errorf("afterwards: %q", said)
	}
	made := filepath.Join(dir, "later")
	os.Mkdir(made, 0o700)
	if _, said := icaclsOn(log, made); !strings.Contains(said, `BUILTIN\Administrators:(I)(OI)(CI)(F)`) || strings.Contains(said, "Users") {
		t.Errorf("inherited: %q", said)
	}
	for _, path := range []string{dir, child} {
		if b, _ := os.ReadFile(log); !strings.Contains(string(b), fmt.Sprintf(`{"Path":%q,"Owner":"BUILTIN\\Administrators"}`, path)) {
			t.Errorf("no owner of %s in the log: %s", path, b)
		}
	}
}

func TestIcaclsChanges(t *testing.T) {
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	for _, step := range []struct {
		args       []string
		has, hasNo string
	}{
		{[]string{"/grant", "Users:(R)"}, `BUILTIN\Users:(R)`, `BUILTIN\Users:(W)`},
		{[]string{"/grant", "Users:W"}, `BUILTIN\Users:(R)`, "DENY"},
		{[]string{"/grant:r", "Users:W"}, `BUILTIN\Users:(W)`, `BUILTIN\Users:(R)`},
		{[]string{"/deny", "Everyone:F"}, `Everyone:(DENY)(F)`, `BUILTIN\Users:(R)`},
		{[]string{"/remove", "Everyone"}, `BUILTIN\Users:(W)`, "Everyone"},
		{[]string{"/inheritance:d"}, `BUILTIN\Users:(OI)(CI)(RX)`, "(I)"},
		{[]string{"/reset"}, `(I)`, `BUILTIN\Users:(W)`},
	} {
		if code, said := icaclsOn(log, append([]string{dir}, step.args...)...); code != 0 {
			t.Fatalf("%v: exit %d, said %q", step.args, code, said)
		}
		_, said := icaclsOn(log, dir)
		if !strings.Contains(said, step.has) || strings.Contains(said, step.hasNo) {
			t.Errorf("%v: %q, want %q and no %q", step.args, said, step.has, step.hasNo)
		}
	}
}

func TestIcaclsRefuses(t *testing.T) {
	dir, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	for _, test := range []struct {
		args []string
		code int
	}{
		{[]string{filepath.Join(dir, "missing")}, 2},
		{[]string{dir, "/frob"}, badParameter},
		{[]string{dir, "/grant", "Users"}, badParameter},
		{[]string{dir, "/grant"}, badParameter},
		{[]string{dir, "/grant", "Users:Q"}, badParameter},
		{[]string{dir, "/grant", "nobody-knows:F"}, noAccount},
		{[]string{dir, "/setowner", "nobody-knows"}, noAccount},
	} {
		if code, said := icaclsOn(log, test.args...); code != test.code {
			t.Errorf("%v: exit %d, want %d: %s", test.args, code, test.code, said)
		}
	}
	if _, err := os.Stat(log); err == nil {
		t.Error("a refused call was remembered")
	}
}
