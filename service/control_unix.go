//go:build !windows

package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// listen opens a Unix socket that only the service's own account and root
// reach: by the folder, by the socket's mode, and by the system's word about
// who calls.
func (c *control) listen(dir, name string) error {
	if err := ownFolder(dir); err != nil {
		return err
	}
	path := filepath.Join(dir, name+".sock")
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return fmt.Errorf("%s is in use by another process", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return err
	}
	c.listener, c.remove = l, func() {} // closing removes the socket
	return nil
}

// ownFolder makes the folder for this account, and refuses one in which
// others could put a socket of theirs.
func ownFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 || (owner != uint32(os.Geteuid()) && owner != 0) {
		return fmt.Errorf("%s must be a folder of this account that nobody else can write to", dir)
	}
	return nil
}

func dialControl(ctx context.Context, dir, name string) (net.Conn, string, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(dir, name+".sock"))
	return conn, "", err
}
