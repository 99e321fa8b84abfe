//go:build !windows

package recovery

import (
	"os"
	"strings"
)

// bootID is the kernel's name for this boot. Where there is none, all are one.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func sameBoot(a, b string) bool { return a == b }
