package service

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// firstSocket is the first file descriptor that systemd hands over.
const firstSocket = 3

// inheritedSockets takes the listening sockets of a socket unit, if they are
// meant for this process.
func inheritedSockets(env func(string) string) ([]namedListener, error) {
	if env("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	count, err := strconv.Atoi(env("LISTEN_FDS"))
	if err != nil || count < 0 || count > 1024 {
		return nil, fmt.Errorf("LISTEN_FDS is %q: want a small number", env("LISTEN_FDS"))
	}
	names := strings.Split(env("LISTEN_FDNAMES"), ":")
	var all []namedListener
	for i := range count {
		l, err := inherit(firstSocket + i)
		if err != nil {
			return nil, err
		}
		named := namedListener{Listener: l}
		if i < len(names) {
			named.name = names[i]
		}
		all = append(all, named)
	}
	return all, nil
}

func inherit(fd int) (net.Listener, error) {
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), fmt.Sprintf("socket %d of systemd", fd))
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("take socket %d of systemd: %w", fd, err)
	}
	return l, nil
}

// monotonic is the clock that systemd compares a reload with.
func monotonic() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}
