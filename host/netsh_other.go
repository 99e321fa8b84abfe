//go:build !windows

package host

import (
	"fmt"
	"os/exec"
)

func netshPath() (string, error) {
	return "", fmt.Errorf("there is no Windows Firewall here: netsh: %w", exec.ErrNotFound)
}
