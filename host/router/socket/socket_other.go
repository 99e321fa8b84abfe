//go:build !windows

package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// giveTimeout bounds the way of one socket: both ends are at it.
const giveTimeout = 5 * time.Second

func listen(ctx context.Context, addr string) (inner, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

// give sends the descriptor over the unix socket of the dock.
func give(l inner, dock string) ([]byte, error) {
	c, err := net.DialTimeout("unix", dock, giveTimeout)
	if err != nil {
		return nil, fmt.Errorf("reach the dock: %w", err)
	}
	defer c.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return nil, err
	}
	var sent error
	// Inside Control, because File.Fd would make the socket block for everybody.
	err = raw.Control(func(fd uintptr) {
		_, _, sent = c.(*net.UnixConn).WriteMsgUnix([]byte{1}, syscall.UnixRights(int(fd)), nil)
	})
	return []byte{}, errors.Join(err, sent)
}

// Dock is where sockets of another process arrive.
type Dock struct {
	dir string
	l   *net.UnixListener
}

// OpenDock makes a dock that only this user reaches.
func OpenDock() (*Dock, error) {
	dir, err := os.MkdirTemp("", "dock-*") // 0700; its path is short, as unix sockets need it
	if err != nil {
		return nil, fmt.Errorf("open dock: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unix"})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open dock: %w", err), os.Remove(dir))
	}
	return &Dock{dir, l}, nil
}

// Name is what Give wants to know.
func (d *Dock) Name() string { return d.l.Addr().String() }

// Close takes the dock away.
func (d *Dock) Close() error { return errors.Join(d.l.Close(), os.RemoveAll(d.dir)) }

// Take receives the socket for which Give returned parcel: they come in the
// order in which they were given.
func (d *Dock) Take([]byte) (*Listener, error) {
	if err := d.l.SetDeadline(time.Now().Add(giveTimeout)); err != nil {
		return nil, err
	}
	c, err := d.l.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("take socket: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(giveTimeout)); err != nil {
		return nil, err
	}
	f, err := receive(c)
	if err != nil {
		return nil, fmt.Errorf("take socket: %w", err)
	}
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take socket: %w", err)
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("take socket: %s is no TCP address", l.Addr()), l.Close())
	}
	return &Listener{inner: tcp}, nil
}

func receive(c *net.UnixConn) (*os.File, error) {
	data, rights := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	_, n, _, _, err := c.ReadMsgUnix(data, rights)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, fmt.Errorf("%d control messages, want one", len(messages))
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 {
		return nil, fmt.Errorf("%d descriptors, want one", len(fds))
	}
	syscall.CloseOnExec(fds[0])
	return os.NewFile(uintptr(fds[0]), "taken"), nil
}
