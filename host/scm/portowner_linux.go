package scm

import (
	"os"
	"path/filepath"
	"strconv"
)

// PortOwner names the program that listens on a TCP port, at the loopback or
// at all addresses; empty: nobody does.
func PortOwner(port int) (string, error) {
	sockets, err := listeners(port)
	if err != nil || len(sockets) == 0 {
		return "", err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !holds(pid, sockets) {
			continue
		}
		if exe, err := os.Readlink("/proc/" + e.Name() + "/exe"); err == nil {
			return filepath.Base(exe), nil
		}
	}
	return "a process that is not ours to see", nil
}
