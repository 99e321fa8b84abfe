package router

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// failFast makes a connect to a closed loopback port fail at once; Windows
// tries again for two seconds otherwise. Where the option is missing the
// connect is slower, nothing else.
func failFast(_, _ string, c syscall.RawConn) error {
	const (
		sioTCPInitialRTO     = 0x98000011
		unspecifiedRTT       = 0xffff
		noSYNRetransmissions = 0xfe
	)
	params := struct {
		rtt     uint16
		retries uint8
	}{unspecifiedRTT, noSYNRetransmissions}
	return c.Control(func(fd uintptr) {
		var returned uint32
		_ = windows.WSAIoctl(windows.Handle(fd), sioTCPInitialRTO, (*byte)(unsafe.Pointer(&params)),
			uint32(unsafe.Sizeof(params)), nil, 0, &returned, nil, 0)
	})
}

// inUse reports an error of a file that a scanner or a backup holds open.
func inUse(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) ||
		errors.Is(err, windows.ERROR_ACCESS_DENIED)
}

// isReset reports that the other side dropped a connection without ending it.
func isReset(err error) bool {
	return errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, windows.WSAECONNABORTED)
}

// replace returns when the new name is on the disk: NTFS would write it down
// some seconds later, and a power cut in between would undo it.
func replace(from, to string) error {
	old, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(old, name, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// syncDir has nothing to do: replace has done it.
func syncDir(string) error { return nil }

// pending reports whether something has come that was not read. The end of a
// connection is not seen by it.
func pending(c syscall.RawConn) bool {
	const fionread = 0x4004667f
	var waits, returned uint32
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = windows.WSAIoctl(windows.Handle(fd), fionread, nil, 0, (*byte)(unsafe.Pointer(&waits)),
			uint32(unsafe.Sizeof(waits)), &returned, nil, 0)
	})
	return waits > 0 || err != nil || failed != nil
}
