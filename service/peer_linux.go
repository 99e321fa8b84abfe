package service

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// peer asks the system who calls: this account and root may.
func (c *control) peer(conn net.Conn) (string, error) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return "", err
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || failed != nil {
		return "", fmt.Errorf("%w: cannot tell who calls", ErrRefused)
	}
	return admit(cred.Uid, uint32(os.Geteuid()), cred.Pid)
}

func admit(uid, own uint32, pid int32) (string, error) {
	if uid != own && uid != 0 {
		return "", fmt.Errorf("%w: user %d has no right here", ErrRefused, uid)
	}
	return fmt.Sprintf("user %d, process %d", uid, pid), nil
}
