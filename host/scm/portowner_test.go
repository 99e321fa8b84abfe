package scm

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestPortOwner(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks for itself; elsewhere it is found by another process only")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if name, err := PortOwner(port); err != nil || !strings.HasPrefix(filepath.Base(own), name) {
		t.Errorf("%q, %v", name, err)
	}
	l.Close()
	if name, err := PortOwner(port); err != nil || name != "" {
		t.Errorf("nobody listens, but %q, %v", name, err)
	}
}
