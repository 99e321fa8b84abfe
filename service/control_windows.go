package service

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// address is what the address file tells. Who can read it may give commands.
type address struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

// listen opens a loopback port and writes where it is, with a token, to a file
// that the system, administrators and this account can read.
func (c *control) listen(dir, name string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.listener, c.token = l, rand.Text()
	path := filepath.Join(dir, name+".json")
	data, err := json.Marshal(address{l.Addr().String(), c.token})
	if err == nil {
		err = writeProtected(path, data)
	}
	if err != nil {
		l.Close()
		return err
	}
	c.remove = func() { _ = os.Remove(path) } // a stale one only leads nowhere
	return nil
}

// writeProtected replaces the file; the new one is protected before it has
// anything in it.
func writeProtected(path string, data []byte) error {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return fmt.Errorf("find own account: %w", err)
	}
	sd, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;" + user.User.Sid.String() + ")")
	if err != nil {
		return fmt.Errorf("protect %s: %w", path, err)
	}
	attributes := windows.SecurityAttributes{SecurityDescriptor: sd}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	temp := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
	_ = os.Remove(temp) // of a process with our number that did not get far
	name, err := windows.UTF16PtrFromString(temp)
	if err != nil {
		return err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, &attributes, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return &os.PathError{Op: "create", Path: temp, Err: err}
	}
	f := os.NewFile(uintptr(h), temp)
	_, err = f.Write(data)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func dialControl(ctx context.Context, dir, name string) (net.Conn, string, error) {
	f, err := os.Open(filepath.Join(dir, name+".json"))
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	var a address
	if err := json.NewDecoder(io.LimitReader(f, 4096)).Decode(&a); err != nil {
		return nil, "", err
	}
	if host, _, err := net.SplitHostPort(a.Address); err != nil || host != "127.0.0.1" {
		return nil, "", fmt.Errorf("%q is not on this machine", a.Address)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", a.Address)
	return conn, a.Token, err
}
