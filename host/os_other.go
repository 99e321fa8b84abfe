//go:build !windows

package host

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-shipper/shipper/release"
)

func isSharing(error) bool { return false }

// syncDir makes new names in dir survive a power cut.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// MachineID names this machine.
func MachineID() (string, error) {
	b, err := os.ReadFile("/etc/machine-id")
	if errors.Is(err, os.ErrNotExist) {
		name, err := os.Hostname()
		return release.Of([]byte(name)).Short(), err
	}
	if err != nil {
		return "", fmt.Errorf("read the machine's identity: %w", err)
	}
	return release.Of(b).Short(), nil
}

// BootID changes with every boot, where the system tells.
func BootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if errors.Is(err, os.ErrNotExist) {
		return "unknown", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the boot's identity: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
