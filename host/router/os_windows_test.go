package router

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"
)

// TestTheAddressIsExclusive: a second listener that asks to share the port
// would get clients of ours.
func TestTheAddressIsExclusive(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(backend(t, "blue"), "", 0))
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		control := c.Control(func(fd uintptr) {
			err = windows.SetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, windows.SO_REUSEADDR, 1)
		})
		if control != nil {
			return control
		}
		return err
	}}
	l, err := share.Listen(t.Context(), "tcp", r.listen)
	if err == nil {
		l.Close()
		t.Errorf("a second listener shares %s", r.listen)
	}
}

// TestWhoReadsAFileIsKnown: a file that somebody reads cannot be replaced, and
// is tried again.
func TestWhoReadsAFileIsKnown(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "router") // not TempDir: Wine fails in RemoveAll
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, controlName)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	tmp, err := writeTemp(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := replace(tmp, file); !inUse(err) {
		t.Errorf("a file that is read: %v, not held to be in use", err)
	}
	reader.Close()
	if err := errors.Join(rename(tmp, file), os.Remove(file), os.Remove(dir)); err != nil {
		t.Error(err)
	}
}
