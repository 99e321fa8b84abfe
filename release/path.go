package release

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxPath bounds a path inside a release folder, in bytes: together with the
// folder it stays below the 260 characters that old Windows programs can open.
const MaxPath = 160

// CheckPath says why p may not be a path inside a release folder, or nil. It
// holds for every system, because bundles are made on one and opened on
// another: relative, slashes, no `..`, nothing that Windows takes for a
// drive, a device, a stream or another file's short name.
func CheckPath(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("path is empty")
	case len(p) > MaxPath:
		return fmt.Errorf("path %.40q… is longer than %d bytes", p, MaxPath)
	case !utf8.ValidString(p):
		return fmt.Errorf("path %q is not valid UTF-8", p)
	}
	for part := range strings.SplitSeq(p, "/") {
		if why := badName(part); why != "" {
			return fmt.Errorf("path %q: %s", p, why)
		}
	}
	return nil
}

// CheckPaths says why the files may not lie in one release folder, or nil:
// every path on its own, and no two that a file system which ignores case
// takes for the same, as files or as file and folder.
func CheckPaths(files []File) error {
	taken := map[string]string{}
	for _, f := range files {
		if err := CheckPath(f.Path); err != nil {
			return err
		}
		key := foldPath(f.Path)
		if other, ok := taken[key]; ok {
			return fmt.Errorf("paths %q and %q are the same on Windows", other, f.Path)
		}
		taken[key] = f.Path
	}
	for _, f := range files {
		key := foldPath(f.Path)
		for i := strings.LastIndexByte(key, '/'); i > 0; i = strings.LastIndexByte(key[:i], '/') {
			if other, ok := taken[key[:i]]; ok {
				return fmt.Errorf("path %q is a file and a folder (%q)", other, f.Path)
			}
		}
	}
	return nil
}

// foldPath maps names that Windows holds for equal to one: it compares by
// upper case.
func foldPath(p string) string { return strings.ToUpper(strings.ToLower(p)) }

func badName(name string) string {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Sprintf("part %q is not a name", name)
	case strings.ContainsFunc(name, forbiddenRune):
		return fmt.Sprintf("part %q has a character that Windows forbids", name)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") || strings.HasPrefix(name, " "):
		return fmt.Sprintf("part %q begins or ends with a blank or ends with a dot", name)
	case isDevice(name):
		return fmt.Sprintf("part %q is a device on Windows", name)
	case isShortName(name):
		return fmt.Sprintf("part %q may be the short name of another file", name)
	}
	return ""
}

func forbiddenRune(r rune) bool {
	return r < 0x20 || r == 0x7f || strings.ContainsRune(`<>:"|?*\`, r)
}

// isDevice knows CON, NUL, COM1 … with any extension, in any case, and with
// the superscript digits that Windows accepts there too.
func isDevice(name string) bool {
	base, _, _ := strings.Cut(name, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, digit := base, ""
	if len(base) > 3 {
		port, digit = base[:3], base[3:]
	}
	return (port == "COM" || port == "LPT") && utf8.RuneCountInString(digit) == 1 && strings.Contains("0123456789¹²³", digit)
}

// isShortName knows the 8.3 aliases that NTFS makes: LONGFI~1.EXE.
func isShortName(name string) bool {
	i := strings.IndexByte(name, '~')
	return i > 0 && i+1 < len(name) && name[i+1] >= '0' && name[i+1] <= '9'
}
