package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// maxTransfer is how much one operation moves; a longer Write takes several.
const maxTransfer = 1 << 20

// conn is an accepted connection. Package net offers no way to one whose
// listener is shared: it ties every socket to its own completion port, which
// can be done once in a socket's life, in one process.
type conn struct {
	h             windows.Handle
	local, remote net.Addr
	read, write   half

	mu      sync.Mutex
	users   int  // operations under way
	closed  bool // the last user closes the handle
	closing chan struct{}
}

// half is one direction.
type half struct {
	mu sync.Mutex // one operation at a time
	op operation
	deadline
}

// operation is what the system works on: it stays where it is until done.
type operation struct {
	overlapped windows.Overlapped // first: the port gives its address back
	buf        windows.WSABuf
	n, flags   uint32
	done       chan struct{}
}

// completions is this process's port, for all connections.
var completions = sync.OnceValues(func() (windows.Handle, error) {
	port, err := windows.CreateIoCompletionPort(windows.InvalidHandle, 0, 0, 0)
	if err != nil {
		return 0, os.NewSyscallError("createiocompletionport", err)
	}
	for range runtime.GOMAXPROCS(0) {
		go complete(port)
	}
	return port, nil
})

// complete tells each operation that it is done. How it ended is asked where
// it began.
func complete(port windows.Handle) {
	for {
		var n uint32
		var key uintptr
		var o *windows.Overlapped
		_ = windows.GetQueuedCompletionStatus(port, &n, &key, &o, windows.INFINITE)
		if o != nil {
			(*operation)(unsafe.Pointer(o)).done <- struct{}{}
		}
	}
}

func newConn(h windows.Handle, local, remote net.Addr) (*conn, error) {
	port, err := completions()
	if err != nil {
		return nil, err
	}
	if _, err := windows.CreateIoCompletionPort(h, port, 0, 0); err != nil {
		return nil, os.NewSyscallError("createiocompletionport", err)
	}
	c := &conn{h: h, local: local, remote: remote, closing: make(chan struct{})}
	for _, side := range []*half{&c.read, &c.write} {
		side.op.done = make(chan struct{}, 1)
		side.expired = make(chan struct{})
	}
	return c, nil
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.read.mu.Lock()
	defer c.read.mu.Unlock()
	n, err := c.transfer(&c.read, b, func(op *operation) error {
		return windows.WSARecv(c.h, &op.buf, 1, &op.n, &op.flags, &op.overlapped, nil)
	})
	switch {
	case err != nil:
		return 0, c.failed("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.write.mu.Lock()
	defer c.write.mu.Unlock()
	written := 0
	for written < len(b) {
		n, err := c.transfer(&c.write, b[written:], func(op *operation) error {
			return windows.WSASend(c.h, &op.buf, 1, &op.n, 0, &op.overlapped, nil)
		})
		written += n
		if err != nil {
			return written, c.failed("write", err)
		}
	}
	return written, nil
}

// transfer runs one operation to its end: even one that is not wanted any
// more is waited for, because the system still has the buffer.
func (c *conn) transfer(side *half, b []byte, start func(*operation) error) (int, error) {
	if !c.enter() {
		return 0, net.ErrClosed
	}
	defer c.leave()
	expired := side.wait()
	select {
	case <-expired:
		return 0, os.ErrDeadlineExceeded
	default:
	}
	op := &side.op
	op.overlapped, op.n, op.flags = windows.Overlapped{}, 0, 0
	op.buf = windows.WSABuf{Len: uint32(min(len(b), maxTransfer)), Buf: &b[0]}
	if err := start(op); err != nil && err != windows.ERROR_IO_PENDING {
		return 0, err
	}
	var unwanted error
	select {
	case <-op.done:
	case <-expired:
		unwanted = os.ErrDeadlineExceeded
	case <-c.closing:
		unwanted = net.ErrClosed
	}
	if unwanted != nil {
		_ = windows.CancelIoEx(c.h, &op.overlapped) // it may have ended by itself
		<-op.done
	}
	err := windows.WSAGetOverlappedResult(c.h, &op.overlapped, &op.n, false, &op.flags)
	op.buf.Buf = nil
	if err != nil && unwanted != nil {
		return 0, unwanted
	}
	return int(op.n), err
}

func (c *conn) failed(what string, err error) error {
	if errno, ok := err.(windows.Errno); ok {
		err = os.NewSyscallError(what, errno)
	}
	return &net.OpError{Op: what, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.users++
	return true
}

func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	if c.closed && c.users == 0 {
		_ = windows.Closesocket(c.h) // nobody is left to tell
	}
}

// Close implements net.Conn. What was written is still delivered.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.failed("close", net.ErrClosed)
	}
	c.closed = true
	close(c.closing)
	if c.users > 0 {
		return nil
	}
	return os.NewSyscallError("closesocket", windows.Closesocket(c.h))
}

// CloseWrite tells the other end that nothing more will come.
func (c *conn) CloseWrite() error {
	if !c.enter() {
		return c.failed("close", net.ErrClosed)
	}
	defer c.leave()
	if err := windows.Shutdown(c.h, windows.SHUT_WR); err != nil {
		return c.failed("shutdown", err)
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn, as do the other two.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline ends a Read that waits, too.
func (c *conn) SetReadDeadline(t time.Time) error { return c.read.set(t) }

// SetWriteDeadline ends a Write that waits, too.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.write.set(t) }

// deadline closes expired once its time has come.
type deadline struct {
	lock    sync.Mutex
	timer   *time.Timer
	expired chan struct{}
}

func (d *deadline) wait() <-chan struct{} {
	d.lock.Lock()
	defer d.lock.Unlock()
	return d.expired
}

func (d *deadline) set(t time.Time) error {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	select {
	case <-d.expired:
		d.expired = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return nil
	}
	expired := d.expired
	left := time.Until(t)
	if left <= 0 {
		close(expired)
		return nil
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		d.lock.Lock()
		defer d.lock.Unlock()
		if d.timer == timer {
			close(expired)
		}
	})
	d.timer = timer
	return nil
}
