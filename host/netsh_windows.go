package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// netshPath is the system's own, whatever PATH says.
func netshPath() (string, error) {
	dir, err := windows.GetSystemDirectory()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "netsh.exe")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%s: %w", path, exec.ErrNotFound)
	}
	return path, nil
}
