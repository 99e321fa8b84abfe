package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

const (
	soExclusiveAddrUse    = ^windows.SO_REUSEADDR
	soUpdateAcceptContext = 0x700B
	ipv6Only              = 27
	backlog               = 0x7fffffff // as many as the system allows
	addressSpace          = 64         // for one address in what AcceptEx writes
	keepAlive             = 15 * time.Second
)

// listener is a socket of ours alone: never tied to a completion port, so that
// another process can take it over (see conn).
type listener struct {
	h      windows.Handle
	family int32
	addr   net.Addr

	accepted, wake windows.Handle // events: a connection is there, Accept shall end
	overlapped     windows.Overlapped
	addresses      [2 * addressSpace]byte
}

func listen(_ context.Context, addr string) (inner, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port %q: %w", port, err)
	}
	ip := netip.IPv6Unspecified()
	if host != "" {
		if ip, err = netip.ParseAddr(host); err != nil {
			return nil, err
		}
	}
	l, err := bound(netip.AddrPortFrom(ip, uint16(n)))
	if err != nil && host == "" { // a machine without IPv6
		l, err = bound(netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n)))
	}
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(n))), Err: err}
	}
	return l, nil
}

// bound listens on the address, which no other process can share: without
// that Windows lets a second one bind the port and take clients of ours.
func bound(at netip.AddrPort) (inner, error) {
	family, sa := socketAddr(at)
	h, err := newSocket(family)
	if err != nil {
		return nil, err
	}
	err = os.NewSyscallError("setsockopt", windows.SetsockoptInt(h, windows.SOL_SOCKET, soExclusiveAddrUse, 1))
	if err == nil && at.Addr() == netip.IPv6Unspecified() { // for IPv4 too
		err = os.NewSyscallError("setsockopt", windows.SetsockoptInt(h, windows.IPPROTO_IPV6, ipv6Only, 0))
	}
	if err == nil {
		err = os.NewSyscallError("bind", windows.Bind(h, sa))
	}
	if err == nil {
		err = os.NewSyscallError("listen", windows.Listen(h, backlog))
	}
	if err != nil {
		return nil, errors.Join(err, windows.Closesocket(h))
	}
	return newListener(h)
}

func newListener(h windows.Handle) (inner, error) {
	sa, err := windows.Getsockname(h)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("getsockname", err), windows.Closesocket(h))
	}
	l := &listener{h: h, family: windows.AF_INET, addr: netAddr(sa)}
	if _, ok := sa.(*windows.SockaddrInet6); ok {
		l.family = windows.AF_INET6
	}
	l.accepted, err = windows.CreateEvent(nil, 1, 0, nil)
	if err == nil {
		l.wake, err = windows.CreateEvent(nil, 1, 0, nil)
	}
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("createevent", err), windows.Closesocket(h))
	}
	return l, nil
}

func newSocket(family int32) (windows.Handle, error) {
	h, err := windows.WSASocket(family, windows.SOCK_STREAM, windows.IPPROTO_TCP, nil, 0,
		windows.WSA_FLAG_OVERLAPPED|windows.WSA_FLAG_NO_HANDLE_INHERIT)
	return h, os.NewSyscallError("wsasocket", err)
}

// Accept waits on a thread of its own for the one operation that it began, so
// that an end by wake leaves nothing behind: a connection either came before
// it, and is served, or stays in the queue for whoever accepts next.
func (l *listener) Accept() (net.Conn, error) {
	for {
		if l.h == windows.InvalidHandle {
			return nil, l.failed(net.ErrClosed)
		}
		h, err := newSocket(l.family)
		if err != nil {
			return nil, l.failed(err)
		}
		err = l.acceptInto(h)
		if err == nil {
			return l.conn(h)
		}
		_ = windows.Closesocket(h)                  // it never was connected
		if !errors.Is(err, windows.WSAECONNRESET) { // that client left meanwhile
			return nil, l.failed(err)
		}
	}
}

func (l *listener) failed(err error) error {
	return &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
}

func (l *listener) acceptInto(h windows.Handle) error {
	var n, flags uint32
	if err := windows.ResetEvent(l.accepted); err != nil {
		return os.NewSyscallError("resetevent", err)
	}
	l.overlapped = windows.Overlapped{HEvent: l.accepted}
	err := windows.AcceptEx(l.h, h, &l.addresses[0], 0, addressSpace, addressSpace, &n, &l.overlapped)
	if err != nil && err != windows.ERROR_IO_PENDING {
		return os.NewSyscallError("acceptex", err)
	}
	woke, err := windows.WaitForMultipleObjects([]windows.Handle{l.accepted, l.wake}, false, windows.INFINITE)
	if err != nil || woke != windows.WAIT_OBJECT_0 {
		_ = windows.CancelIoEx(l.h, &l.overlapped) // it may have ended by itself
	}
	err = windows.WSAGetOverlappedResult(l.h, &l.overlapped, &n, true, &flags)
	if err == windows.ERROR_OPERATION_ABORTED {
		return os.ErrDeadlineExceeded
	}
	if err != nil {
		return os.NewSyscallError("acceptex", err)
	}
	listening := l.h
	return os.NewSyscallError("setsockopt", windows.Setsockopt(h, windows.SOL_SOCKET, soUpdateAcceptContext,
		(*byte)(unsafe.Pointer(&listening)), int32(unsafe.Sizeof(listening))))
}

// conn makes the accepted socket a connection. One that its client has left
// already fails at its first use.
func (l *listener) conn(h windows.Handle) (net.Conn, error) {
	remote := net.Addr(&net.TCPAddr{})
	if sa, err := windows.Getpeername(h); err == nil {
		remote = netAddr(sa)
	}
	local := l.addr
	if sa, err := windows.Getsockname(h); err == nil {
		local = netAddr(sa)
	}
	c, err := newConn(h, local, remote)
	if err != nil {
		return nil, errors.Join(err, windows.Closesocket(h))
	}
	// Both only make it better.
	_ = windows.SetsockoptInt(h, windows.IPPROTO_TCP, windows.TCP_NODELAY, 1)
	probe(h)
	return c, nil
}

// probe lets the system look now and then whether the other end still lives.
func probe(h windows.Handle) {
	const sioKeepAliveVals = 0x98000004
	values := struct{ on, idle, interval uint32 }{1, uint32(keepAlive.Milliseconds()), uint32(keepAlive.Milliseconds())}
	var n uint32
	_ = windows.WSAIoctl(h, sioKeepAliveVals, (*byte)(unsafe.Pointer(&values)), uint32(unsafe.Sizeof(values)), nil, 0, &n, nil, 0)
}

// SetDeadline knows past times and the zero one only.
func (l *listener) SetDeadline(t time.Time) error {
	if t.IsZero() {
		return os.NewSyscallError("resetevent", windows.ResetEvent(l.wake))
	}
	return os.NewSyscallError("setevent", windows.SetEvent(l.wake))
}

// Close is called while no Accept waits: Windows would not end it, as long as
// another process has the socket.
func (l *listener) Close() error {
	h := l.h
	l.h = windows.InvalidHandle
	return errors.Join(os.NewSyscallError("closesocket", windows.Closesocket(h)),
		windows.CloseHandle(l.accepted), windows.CloseHandle(l.wake))
}

func (l *listener) Addr() net.Addr { return l.addr }

// give makes the socket one of the process whose number the dock's name is.
func give(l inner, dock string) ([]byte, error) {
	pid, err := strconv.ParseUint(dock, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("dock %q: %w", dock, err)
	}
	var info windows.WSAProtocolInfo
	if err := windows.WSADuplicateSocket(l.(*listener).h, uint32(pid), &info); err != nil {
		return nil, os.NewSyscallError("wsaduplicatesocket", err)
	}
	parcel := make([]byte, unsafe.Sizeof(info))
	copy(parcel, unsafe.Slice((*byte)(unsafe.Pointer(&info)), len(parcel)))
	return parcel, nil
}

// Dock is where sockets of another process arrive: this process itself.
type Dock struct{}

// OpenDock has nothing to open. The giver needs the right to put handles into
// this process: acl.ShareProcess.
func OpenDock() (*Dock, error) { return &Dock{}, nil }

// Name is what Give wants to know.
func (d *Dock) Name() string { return strconv.Itoa(os.Getpid()) }

// Close has nothing to do.
func (d *Dock) Close() error { return nil }

// Take opens the socket that parcel describes. It must be done once, even if
// the socket is not wanted: it is this process's already.
func (d *Dock) Take(parcel []byte) (*Listener, error) {
	var info windows.WSAProtocolInfo
	if len(parcel) != int(unsafe.Sizeof(info)) {
		return nil, fmt.Errorf("take socket: %d bytes, want %d", len(parcel), unsafe.Sizeof(info))
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&info)), len(parcel)), parcel)
	h, err := windows.WSASocket(-1, -1, -1, &info, 0, windows.WSA_FLAG_OVERLAPPED|windows.WSA_FLAG_NO_HANDLE_INHERIT)
	if err != nil {
		return nil, fmt.Errorf("take socket: %w", os.NewSyscallError("wsasocket", err))
	}
	l, err := newListener(h)
	if err != nil {
		return nil, fmt.Errorf("take socket: %w", err)
	}
	return &Listener{inner: l}, nil
}

func socketAddr(at netip.AddrPort) (int32, windows.Sockaddr) {
	if at.Addr().Is4() {
		return windows.AF_INET, &windows.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	sa := &windows.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if zone, err := strconv.ParseUint(at.Addr().Zone(), 10, 32); err == nil {
		sa.ZoneId = uint32(zone)
	}
	return windows.AF_INET6, sa
}

func netAddr(sa windows.Sockaddr) net.Addr {
	switch sa := sa.(type) {
	case *windows.SockaddrInet4:
		return &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
	case *windows.SockaddrInet6:
		a := &net.TCPAddr{IP: sa.Addr[:], Port: sa.Port}
		if sa.ZoneId != 0 {
			a.Zone = strconv.FormatUint(uint64(sa.ZoneId), 10)
		}
		return a
	}
	return &net.TCPAddr{}
}
