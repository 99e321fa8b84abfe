package scm

import (
	"net/netip"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/windows"

	"github.com/go-shipper/shipper/host/scm/tree"
	"github.com/go-shipper/shipper/host/scm/wine"
)

// PortOwner names the program that listens on a TCP port, at any address;
// empty: nobody does.
func PortOwner(port int) (string, error) {
	if wine.Detected() {
		return portOwnerOnWine(port)
	}
	for _, r := range []row{row4, row6} {
		b, err := tcpTable(r.family)
		if err != nil {
			return "", err
		}
		if owners := r.owners(b, port, func(netip.Addr) bool { return true }); len(owners) > 0 {
			return programOf(owners[0]), nil
		}
	}
	return "", nil
}

func portOwnerOnWine(port int) (string, error) {
	table, err := tree.Snapshot()
	if err != nil {
		return "", err
	}
	var data windows.WSAData
	if err := windows.WSAStartup(0x0202, &data); err != nil {
		return "", err
	}
	defer windows.WSACleanup()
	for pid := range table {
		if pid != int(windows.GetCurrentProcessId()) && holdsListener(uint32(pid), port) {
			return programOf(uint32(pid)), nil
		}
	}
	return "", nil
}

// programOf is the name of a process's executable, or its number: some
// processes tell nobody what they are.
func programOf(pid uint32) string {
	const maxPath = 32 << 10
	process, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return "process " + strconv.Itoa(int(pid))
	}
	defer windows.CloseHandle(process)
	name, size := make([]uint16, maxPath), uint32(maxPath)
	if err := windows.QueryFullProcessImageName(process, 0, &name[0], &size); err != nil {
		return "process " + strconv.Itoa(int(pid))
	}
	return filepath.Base(windows.UTF16ToString(name[:size]))
}
