package release

import (
	"strings"
	"testing"
)

func TestCheckPath(t *testing.T) {
	good := []string{
		"orders.exe", "etc/app.ini", "a/b/c/d", ".env", "..x", "x..y", "console.exe", "com.exe", "com10.txt", "nul1", "größe.txt",
		"a~b", "~tmp", "name with blank.txt", strings.Repeat("a", MaxPath),
	}
	bad := []string{
		"", ".", "..", "../x", "a/../b", "a/..", "/etc/passwd", "//server/share", "a//b", "a/", "./a",
		`..\x`, `a\b`, "C:", "C:/x", "c:x", "file.txt:stream", "file.txt::$DATA",
		"con", "CON.txt", "a/nul", "Aux.tar.gz", "prn", "COM1", "lpt9.log", "com¹", "COM².x", "CONIN$", "conout$", "nul .txt",
		"a.", "a ", "a./b", "a /b", " a", "a\x00b", "a\nb", "a\x7f", "a*", "a?", "a<b", "a|b", `a"b`, "\xff",
		"LONGFI~1.EXE", strings.Repeat("a", MaxPath+1), `\\?\C:\x`, "\\\\.\\pipe\\x",
	}
	for _, p := range good {
		if err := CheckPath(p); err != nil {
			t.Errorf("refused %q: %v", p, err)
		}
	}
	for _, p := range bad {
		if CheckPath(p) == nil {
			t.Errorf("accepted %q", p)
		}
	}
}

func TestCheckPaths(t *testing.T) {
	tests := map[string]struct {
		paths []string
		good  bool
	}{
		"different":        {[]string{"a", "b/a", "b/c"}, true},
		"twice":            {[]string{"a", "a"}, false},
		"case":             {[]string{"Orders.exe", "orders.EXE"}, false},
		"case in folder":   {[]string{"Etc/a", "etc/A"}, false},
		"folders may vary": {[]string{"Etc/a", "etc/b"}, true},
		"file and folder":  {[]string{"a", "a/b"}, false},
		"file and deeper":  {[]string{"A/b/c", "a"}, false},
		"kelvin sign":      {[]string{"k", "\u212a"}, false},
		"a bad one":        {[]string{"a", "../b"}, false},
	}
	for name, tt := range tests {
		var files []File
		for _, p := range tt.paths {
			files = append(files, File{Path: p})
		}
		if err := CheckPaths(files); (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCheckPath(f *testing.F) {
	f.Add("etc/app.ini")
	f.Add("..\\x")
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) != nil {
			return
		}
		for part := range strings.SplitSeq(p, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\\:\x00") || strings.HasSuffix(part, ".") {
				t.Errorf("accepted %q", p)
			}
		}
	})
}

func TestHolds(t *testing.T) {
	amd64 := []File{{Path: "a.exe", Size: 1, SHA256: Of([]byte("1"))}}
	arm64 := []File{{Path: "a.exe", Size: 2, SHA256: Of([]byte("22"))}}
	targets := map[string]Digest{"windows/amd64": ContentDigest(amd64), "windows/arm64": ContentDigest(arm64)}
	both := Release{Version: "1.0.0", Digest: TargetsDigest(targets)}
	one := Release{Version: "1.0.0", Digest: ContentDigest(amd64)}
	changed := []File{{Path: "b.exe", Size: 1, SHA256: Of([]byte("1"))}}
	tests := map[string]struct {
		release Release
		files   []File
		targets map[string]Digest
		want    bool
	}{
		"amd64 of both":       {both, amd64, targets, true},
		"arm64 of both":       {both, arm64, targets, true},
		"single target":       {one, amd64, nil, true},
		"single, named":       {one, amd64, map[string]Digest{"windows/amd64": one.Digest}, true},
		"other files":         {both, changed, targets, false},
		"other files, single": {one, changed, nil, false},
		"targets missing":     {both, amd64, nil, false},
		"targets forged":      {both, changed, map[string]Digest{"windows/amd64": ContentDigest(changed), "windows/arm64": targets["windows/arm64"]}, false},
		"own is not in it":    {both, changed, targets, false},
	}
	for name, tt := range tests {
		if got := tt.release.Holds(tt.files, tt.targets); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
