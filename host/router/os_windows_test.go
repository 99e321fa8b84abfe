package router

import (
	"net"
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
