package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-shipper/shipper/problem"
)

// account is the user of every host; Wine knows one only.
const account = "Administrator"

// wine is how to run Windows programs in one prefix.
type wine struct {
	loader, server string // the executables
	dir            string // holds prefix and home
}

// findWine looks for Wine and says what to install if it is missing.
func findWine(dir string) (wine, error) {
	loader, err := exec.LookPath("wine")
	if err != nil {
		return wine{}, problem.Wrap(problem.Usage, err, "find wine", "install it: apt-get install --no-install-recommends wine wine64")
	}
	server, err := exec.LookPath("wineserver")
	if err != nil {
		server = "/usr/lib/wine/wineserver"
	}
	return wine{loader: loader, server: server, dir: dir}, nil
}

func (w wine) prefix() string { return filepath.Join(w.dir, "prefix") }

// env is all that Windows programs get of this machine's environment.
func (w wine) env() []string {
	return []string{
		"PATH=/usr/bin:/bin",
		"HOME=" + filepath.Join(w.dir, "home"),
		"USER=" + account,
		"LOGNAME=" + account,
		"LANG=C.UTF-8",
		"WINEPREFIX=" + w.prefix(),
		"WINEARCH=win64",
		"WINEDEBUG=-all",
		// No dialog that offers to download Mono or Gecko, no menu entries.
		"WINEDLLOVERRIDES=mscoree,mshtml=;winemenubuilder.exe=d;certutil.exe,icacls.exe=n",
	}
}

// command is a Windows program, started from its C: drive.
func (w wine) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(w.loader, append([]string{program}, args...)...)
	cmd.Env = w.env()
	cmd.Dir = filepath.Join(w.prefix(), "drive_c")
	return cmd
}

// keepUp starts the prefix's server so that it stays when nothing runs.
func (w wine) keepUp(ctx context.Context) error {
	if err := w.run(ctx, w.server, "-p"); err != nil {
		return fmt.Errorf("start wineserver: %w", err)
	}
	return nil
}

// run waits for a program on this machine's side of Wine. Its output is not
// kept: what it leaves running would hold the pipe open.
func (w wine) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = w.env()
	return cmd.Run()
}

// version is what `wine --version` prints.
func (w wine) version(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, w.loader, "--version")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask wine for its version: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
