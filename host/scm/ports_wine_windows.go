package scm

import (
	"golang.org/x/sys/windows"

	"github.com/go-shipper/shipper/host/scm/tree"
)

// Wine's table of listeners does not know their processes. There the handles
// of the service's processes are looked through instead: they are small
// multiples of four, and a listening socket tells its port also to us.
const (
	handleStep = 4
	handleGap  = 512 // free ones in a row that end the search
	handleMax  = 1 << 16
)

func ownsPortOnWine(root, port int) (bool, error) {
	table, err := tree.Snapshot()
	if err != nil {
		return false, err
	}
	var data windows.WSAData
	if err := windows.WSAStartup(0x0202, &data); err != nil {
		return false, err
	}
	defer windows.WSACleanup()
	for _, pid := range append(table.Descendants(root), root) {
		if holdsListener(uint32(pid), port) {
			return true, nil
		}
	}
	return false, nil
}

func holdsListener(pid uint32, port int) bool {
	process, err := windows.OpenProcess(windows.PROCESS_DUP_HANDLE, false, pid)
	if err != nil {
		return false // it ended meanwhile
	}
	defer windows.CloseHandle(process)
	free := 0
	for h := windows.Handle(handleStep); h < handleMax && free < handleGap; h += handleStep {
		var ours windows.Handle
		err := windows.DuplicateHandle(process, h, windows.CurrentProcess(), &ours, 0, false, windows.DUPLICATE_SAME_ACCESS)
		if err != nil {
			free++
			continue
		}
		free = 0
		found := listensOn(ours, port)
		windows.CloseHandle(ours)
		if found {
			return true
		}
	}
	return false
}

// listensOn asks a handle that may be anything. A connection has the port
// of its listener, and a peer.
func listensOn(h windows.Handle, port int) bool {
	if kind, err := windows.GetFileType(h); err != nil || kind != windows.FILE_TYPE_PIPE {
		return false
	}
	addr, err := windows.Getsockname(h)
	if err != nil {
		return false
	}
	if _, err := windows.Getpeername(h); err == nil {
		return false
	}
	switch a := addr.(type) {
	case *windows.SockaddrInet4:
		return a.Port == port
	case *windows.SockaddrInet6:
		return a.Port == port
	}
	return false
}
