package bootstrap

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// The lines as cmd.exe gets them, byte for byte: a change here must have
// been tried on Windows.
func TestWindowsLines(t *testing.T) {
	w := windowsLines{system: `C:\Windows\System32`}
	const dir = `C:\Program Files\shipper`
	const stage = dir + `\bin\.stage-0a`
	const file = stage + `\shipper-host.exe`
	golden := []struct{ got, want string }{
		{w.facts(), `echo %SystemRoot%*%ProgramFiles%*%PROCESSOR_ARCHITECTURE%`},
		{w.digest(file), `C:\Windows\System32\certutil.exe -hashfile "C:\Program Files\shipper\bin\.stage-0a\shipper-host.exe" SHA256`},
		{w.protect(dir)[0], `if not exist "C:\Program Files\shipper\bin" mkdir "C:\Program Files\shipper\bin"`},
		{w.protect(dir)[1], `C:\Windows\System32\icacls.exe "C:\Program Files\shipper" /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F /grant:r *S-1-5-32-544:(OI)(CI)F`},
		{w.mkdir(stage), `mkdir "C:\Program Files\shipper\bin\.stage-0a"`},
		{w.unpack(WayTar, stage, file), `C:\Windows\System32\tar.exe -xf - -C "C:\Program Files\shipper\bin\.stage-0a"`},
		{w.unpack(WayPowerShell, stage, file), `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe -NoProfile -NonInteractive -Command "$ErrorActionPreference='Stop';$o=[IO.File]::Create('C:\Program Files\shipper\bin\.stage-0a\shipper-host.exe');(New-Object IO.Compression.GZipStream([Console]::OpenStandardInput(),[IO.Compression.CompressionMode]::Decompress)).CopyTo($o);$o.Close()"`},
		{w.unpack(WayCertutil, stage, file), `C:\Windows\System32\findstr.exe "^" > "C:\Program Files\shipper\bin\.stage-0a\shipper-host.exe.txt" && C:\Windows\System32\certutil.exe -f -decode "C:\Program Files\shipper\bin\.stage-0a\shipper-host.exe.txt" "C:\Program Files\shipper\bin\.stage-0a\shipper-host.exe" && del "C:\Program Files\shipper\bin\.stage-0a\shipper-host.exe.txt"`},
		{w.hasTar(), `if not exist C:\Windows\System32\tar.exe exit 1`},
		{w.language(), `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe -NoProfile -NonInteractive -Command $ExecutionContext.SessionState.LanguageMode`},
		{w.rename(stage, dir+`\bin\abc`), `ren "C:\Program Files\shipper\bin\.stage-0a" abc`},
		{w.remove(stage), `rmdir /s /q "C:\Program Files\shipper\bin\.stage-0a"`},
		{w.exists(dir), `if not exist "C:\Program Files\shipper" exit 1`},
		{w.list(dir + `\bin`), `dir /b /ad /o-d "C:\Program Files\shipper\bin"`},
	}
	for _, g := range golden {
		if g.got != g.want {
			t.Errorf("line\n got %s\nwant %s", g.got, g.want)
		}
		if strings.HasPrefix(g.got, `"`) || len(g.got) > 1000 {
			t.Errorf("cmd.exe may mistake %s", g.got)
		}
	}
}

func TestPlace(t *testing.T) {
	s := &site{lines: &windowsLines{}, programs: `C:\Program Files\shipper`}
	p := s.place(`C:\Program Files\shipper\bin\ab\shipper-host.exe`, true)
	if p.Serve != `"C:\Program Files\shipper\bin\ab\shipper-host.exe" serve` || !p.Installed {
		t.Errorf("%+v", p)
	}
	s.root = `D:\x`
	if p := s.place(`D:\a`, false); p.Serve != `"D:\a" serve --root "D:\x"` {
		t.Errorf("%+v", p)
	}
	s = &site{lines: posixLines{}, root: "/it's"}
	if p := s.place("/a", false); p.Serve != `'/a' serve --root '/it'\''s'` {
		t.Errorf("%+v", p)
	}
}

func TestFindDigest(t *testing.T) {
	const hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	spaced := ""
	for i := 0; i < len(hex); i += 2 {
		spaced += hex[i:i+2] + " "
	}
	cases := map[string]release.Digest{
		"SHA256 hash of C:\\x.exe:\r\n" + hex + "\r\nCertUtil: -hashfile command completed successfully.\r\n":    hex,
		"SHA256-Hash der Datei x:\r\n" + spaced + "\r\nCertUtil: -hashfile-Befehl wurde erfolgreich ausgeführt.": hex,
		strings.ToUpper(hex) + "\n":    hex,
		hex + "  /root/file name\n":    hex,
		hex[:63] + "\n":                "",
		hex + "0\n":                    "",
		"":                             "",
		"CertUtil: Zugriff verweigert": "",
	}
	for out, want := range cases {
		if got := findDigest(out); got != want {
			t.Errorf("findDigest(%q) = %q", out, got)
		}
	}
}
