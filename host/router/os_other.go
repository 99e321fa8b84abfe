//go:build !windows

package router

import (
	"errors"
	"os"
	"syscall"
)

// failFast has nothing to do: a refused connect fails at once.
func failFast(_, _ string, _ syscall.RawConn) error { return nil }

// inUse is never so: open files can be renamed over.
func inUse(error) bool { return false }

// replace gives a file the name of another one.
func replace(from, to string) error { return os.Rename(from, to) }

// isReset reports that the other side dropped a connection without ending it.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// pending reports whether something has come that was not read, the end too.
// A socket of Go's is never waited for by the call itself.
func pending(c syscall.RawConn) bool {
	waits := false
	err := c.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		waits = err != syscall.EAGAIN
	})
	return waits || err != nil
}
