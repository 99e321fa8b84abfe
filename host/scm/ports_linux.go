package scm

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/host/scm/tree"
)

// ownsPort looks for a listening socket on port that root or a descendant
// holds open.
func ownsPort(root, port int) (bool, error) {
	sockets, err := listeners(port)
	if err != nil || len(sockets) == 0 {
		return false, err
	}
	table, err := tree.Snapshot()
	if err != nil {
		return false, err
	}
	for _, pid := range append(table.Descendants(root), root) {
		if holds(pid, sockets) {
			return true, nil
		}
	}
	return false, nil
}

// listeners returns the names of the sockets that take connections to the
// loopback at port, as /proc/PID/fd spells them.
func listeners(port int) (map[string]bool, error) {
	sockets := map[string]bool{}
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // no IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("list listening sockets: %w", err)
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if inode, ok := listener(lines.Text(), port); ok {
				sockets["socket:["+inode+"]"] = true
			}
		}
		f.Close()
	}
	return sockets, nil
}

// listener reads one line: "sl local_address rem_address st … inode …".
func listener(line string, port int) (inode string, ok bool) {
	const listen = "0A"
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listen {
		return "", false
	}
	addr, hex, _ := strings.Cut(f[1], ":")
	n, err := strconv.ParseUint(hex, 16, 16)
	return f[9], err == nil && int(n) == port && reachable(addr)
}

// reachable: a wildcard or a loopback address, in the kernel's spelling
// (words in host order, here little endian).
func reachable(addr string) bool {
	switch len(addr) {
	case 8:
		return addr == "00000000" || strings.HasSuffix(addr, "7F")
	case 32:
		v4 := strings.HasPrefix(addr, "0000000000000000FFFF0000") && reachable(addr[24:])
		return v4 || strings.Trim(addr, "0") == "" || addr == "00000000000000000000000001000000"
	}
	return false
}

func holds(pid int, sockets map[string]bool) bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false // it ended meanwhile
	}
	for _, fd := range fds {
		if to, err := os.Readlink(dir + fd.Name()); err == nil && sockets[to] {
			return true
		}
	}
	return false
}
