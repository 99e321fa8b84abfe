package scm

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/go-shipper/shipper/host/scm/tree"
	"github.com/go-shipper/shipper/host/scm/wine"
)

// ownsPort looks for a listener on port whose process is root or a descendant.
func ownsPort(root, port int) (bool, error) {
	if wine.Detected() {
		return ownsPortOnWine(root, port)
	}
	owners, err := listeners(port)
	if err != nil || len(owners) == 0 {
		return false, err
	}
	table, err := tree.Snapshot()
	if err != nil {
		return false, err
	}
	for _, pid := range owners {
		if table.Below(int(pid), root) {
			return true, nil
		}
	}
	return false, nil
}

// row says where GetExtendedTcpTable puts things in a row of a table of
// listeners with their owners; ports are in network order.
type row struct{ family, size, addr, addrLen, port, pid int }

var (
	row4 = row{family: windows.AF_INET, size: 24, addr: 4, addrLen: 4, port: 8, pid: 20}
	row6 = row{family: windows.AF_INET6, size: 56, addr: 0, addrLen: 16, port: 20, pid: 52}
)

// listeners returns the processes that take connections to the loopback at port.
func listeners(port int) ([]uint32, error) {
	var owners []uint32
	for _, r := range []row{row4, row6} {
		b, err := tcpTable(r.family)
		if err != nil {
			return nil, err
		}
		owners = append(owners, r.owners(b, port, local)...)
	}
	return owners, nil
}

// local: a listener there takes connections to the loopback.
func local(ip netip.Addr) bool { return ip.IsLoopback() || ip.IsUnspecified() }

func (r row) owners(b []byte, port int, at func(netip.Addr) bool) []uint32 {
	var owners []uint32
	for b = b[4:]; len(b) >= r.size; b = b[r.size:] {
		ip, _ := netip.AddrFromSlice(b[r.addr : r.addr+r.addrLen])
		ip = ip.Unmap()
		if int(binary.BigEndian.Uint16(b[r.port:])) == port && at(ip) {
			owners = append(owners, binary.LittleEndian.Uint32(b[r.pid:]))
		}
	}
	return owners
}

// tcpTable returns the count of rows (4 bytes) and the rows themselves.
func tcpTable(family int) ([]byte, error) {
	const ownerPIDListener = 3 // TCP_TABLE_OWNER_PID_LISTENER
	proc := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")
	size := uint32(16 << 10)
	for range 8 { // the table may grow between two calls
		b := make([]byte, size)
		r, _, _ := proc.Call(uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0,
			uintptr(family), ownerPIDListener, 0)
		switch windows.Errno(r) {
		case windows.ERROR_SUCCESS:
			return trim(b, family), nil
		case windows.ERROR_INSUFFICIENT_BUFFER:
		default:
			return nil, fmt.Errorf("list listening sockets: %w", windows.Errno(r))
		}
	}
	return nil, fmt.Errorf("list listening sockets: %w", windows.ERROR_INSUFFICIENT_BUFFER)
}

// trim cuts b after the rows it holds.
func trim(b []byte, family int) []byte {
	size := row4.size
	if family == windows.AF_INET6 {
		size = row6.size
	}
	return b[:min(len(b), 4+int(binary.LittleEndian.Uint32(b))*size)]
}
