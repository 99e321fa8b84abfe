package bootstrap

import "strings"

// lines are the command lines of one system. They are short, and their
// quoting is right whether or not the shell strips a pair of outer quotes:
// all but the start of the helper begin without one.
type lines interface {
	facts() string // prints system folder * programs folder * architecture, or empty
	programs(root string) string
	join(parts ...string) string
	file() string // name of the executable
	digest(file string) string
	protect(dir string) []string // the folder and its bin, for administrators only
	mkdir(dir string) string
	unpack(way, dir, file string) string
	rename(from, to string) string
	remove(dir string) string
	exists(dir string) string // ends with 0 if there is such a folder
	list(dir string) string   // names of folders, newest first
	hasTar() string           // ends with 0 if there is a tar
	language() string         // prints the language mode of PowerShell
	quote(s string) string
}

func linesFor(goos string) lines {
	if goos == "windows" || goos == "" {
		return &windowsLines{system: `C:\Windows\System32`}
	}
	return posixLines{}
}

// windowsLines are for cmd.exe. Programs of Windows are named by their full
// path: what else lies in PATH is not asked.
type windowsLines struct{ system string }

func (windowsLines) facts() string {
	return `echo %SystemRoot%*%ProgramFiles%*%PROCESSOR_ARCHITECTURE%`
}
func (windowsLines) programs(root string) string { return root + `\programs` }
func (windowsLines) join(parts ...string) string { return strings.Join(parts, `\`) }
func (windowsLines) file() string                { return "shipper-host.exe" }
func (windowsLines) quote(s string) string       { return `"` + s + `"` }

func (w windowsLines) digest(file string) string {
	return w.system + `\certutil.exe -hashfile ` + w.quote(file) + ` SHA256`
}

// protect: SYSTEM and Administrators, by number, because their names are translated.
func (w windowsLines) protect(dir string) []string {
	return []string{
		`if not exist ` + w.quote(w.join(dir, "bin")) + ` mkdir ` + w.quote(w.join(dir, "bin")),
		w.system + `\icacls.exe ` + w.quote(dir) + ` /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F /grant:r *S-1-5-32-544:(OI)(CI)F`,
	}
}

func (w windowsLines) mkdir(dir string) string  { return `mkdir ` + w.quote(dir) }
func (w windowsLines) remove(dir string) string { return `rmdir /s /q ` + w.quote(dir) }
func (w windowsLines) exists(dir string) string { return `if not exist ` + w.quote(dir) + ` exit 1` }
func (w windowsLines) list(dir string) string   { return `dir /b /ad /o-d ` + w.quote(dir) }

func (w windowsLines) hasTar() string { return `if not exist ` + w.system + `\tar.exe exit 1` }
func (w windowsLines) language() string {
	return w.system + `\WindowsPowerShell\v1.0\powershell.exe -NoProfile -NonInteractive -Command $ExecutionContext.SessionState.LanguageMode`
}

// rename fails where the new name exists; move would move into it.
func (w windowsLines) rename(from, to string) string {
	return `ren ` + w.quote(from) + ` ` + to[strings.LastIndex(to, `\`)+1:]
}

func (w windowsLines) unpack(way, dir, file string) string {
	if way == WayPowerShell {
		return w.system + `\WindowsPowerShell\v1.0\powershell.exe -NoProfile -NonInteractive -Command "$ErrorActionPreference='Stop';` +
			`$o=[IO.File]::Create('` + file + `');` +
			`(New-Object IO.Compression.GZipStream([Console]::OpenStandardInput(),[IO.Compression.CompressionMode]::Decompress)).CopyTo($o);$o.Close()"`
	}
	if way == WayCertutil {
		text := w.quote(file + ".txt")
		return w.system + `\findstr.exe "^" > ` + text + ` && ` + w.system + `\certutil.exe -f -decode ` + text + ` ` + w.quote(file) + ` && del ` + text
	}
	return w.system + `\tar.exe -xf - -C ` + w.quote(dir)
}

// posixLines are for sh: simulations and tests on other systems.
type posixLines struct{}

func (posixLines) facts() string               { return "" }
func (posixLines) programs(root string) string { return root + "/programs" }
func (posixLines) join(parts ...string) string { return strings.Join(parts, "/") }
func (posixLines) file() string                { return "shipper-host" }
func (posixLines) quote(s string) string       { return `'` + strings.ReplaceAll(s, `'`, `'\''`) + `'` }

func (p posixLines) digest(file string) string {
	return `sha256sum ` + p.quote(file) + ` || shasum -a 256 ` + p.quote(file)
}

func (p posixLines) protect(dir string) []string {
	return []string{`mkdir -p ` + p.quote(dir+"/bin") + ` && chmod 700 ` + p.quote(dir)}
}

func (p posixLines) mkdir(dir string) string        { return `mkdir ` + p.quote(dir) }
func (p posixLines) remove(dir string) string       { return `rm -rf ` + p.quote(dir) }
func (p posixLines) exists(dir string) string       { return `test -d ` + p.quote(dir) }
func (p posixLines) list(dir string) string         { return `ls -1t ` + p.quote(dir) }
func (p posixLines) unpack(_, dir, _ string) string { return `tar -xzf - -C ` + p.quote(dir) }

func (posixLines) hasTar() string   { return `command -v tar` }
func (posixLines) language() string { return `exit 1` }

func (p posixLines) rename(from, to string) string {
	return `test ! -e ` + p.quote(to) + ` && mv ` + p.quote(from) + ` ` + p.quote(to)
}
