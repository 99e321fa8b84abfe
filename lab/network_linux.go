package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/problem"
)

// network is where a lab's hosts live. With a bridge they are machines of
// their own in 10.77.Index.0/24; without, addresses in 127.77.Index.0/24.
type network struct {
	Index  int
	Bridge string // "" without namespaces
}

// firstHost is the last part of host1's address.
const firstHost = 11

func (n network) isolated() bool { return n.Bridge != "" }

func (n network) address(host int) string {
	if !n.isolated() {
		return fmt.Sprintf("127.77.%d.%d", n.Index, firstHost+host)
	}
	return fmt.Sprintf("10.77.%d.%d", n.Index, firstHost+host)
}

func (n network) veth(host int) string { return fmt.Sprintf("%sh%d", n.Bridge, host+1) }

// claimNetwork takes a subnet that neither another lab nor this machine uses.
// The caller holds the lock of the labs; the kernel refuses a second bridge of
// one name, so that labs with other folders are no danger either.
func claimNetwork(ctx context.Context, isolated bool, taken map[int]bool) (network, error) {
	used, err := usedNetworks()
	if err != nil {
		return network{}, err
	}
	for i := range 250 {
		n := network{Index: i}
		if taken[i] {
			continue
		}
		if !isolated {
			if n.free() {
				return n, nil
			}
			continue
		}
		n.Bridge = "shlab" + strconv.Itoa(i)
		if overlaps(used, n) {
			continue
		}
		if err := ip(ctx, "link", "add", n.Bridge, "type", "bridge"); err != nil {
			if strings.Contains(err.Error(), "File exists") {
				continue
			}
			return network{}, err
		}
		err := errors.Join(ip(ctx, "addr", "add", fmt.Sprintf("10.77.%d.1/24", i), "dev", n.Bridge), ip(ctx, "link", "set", n.Bridge, "up"))
		if err != nil {
			return network{}, errors.Join(err, n.remove(ctx))
		}
		return n, nil
	}
	return network{}, problem.New(problem.Failed, "end labs that are not needed: `shipper lab list`, `shipper lab down --name NAME`", "find a free subnet for the lab: none left")
}

// free tries the first host's port.
func (n network) free() bool {
	l, err := net.Listen("tcp", net.JoinHostPort(n.address(0), strconv.Itoa(portHTTP)))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// usedNetworks are the prefixes of this machine's interfaces and routes.
func usedNetworks() ([]netip.Prefix, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var used []netip.Prefix
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			used = append(used, p.Masked())
		}
	}
	routes, err := os.ReadFile("/proc/net/route")
	if err != nil {
		return used, nil
	}
	for line := range strings.SplitSeq(string(routes), "\n") {
		if p, ok := parseRoute(line); ok {
			used = append(used, p)
		}
	}
	return used, nil
}

// parseRoute reads a line of /proc/net/route: interface, destination, …,
// mask as the eighth; numbers in hexadecimal, last byte first.
func parseRoute(line string) (netip.Prefix, bool) {
	f := strings.Fields(line)
	if len(f) < 8 {
		return netip.Prefix{}, false
	}
	destination, err1 := strconv.ParseUint(f[1], 16, 32)
	mask, err2 := strconv.ParseUint(f[7], 16, 32)
	if err1 != nil || err2 != nil || mask == 0 {
		return netip.Prefix{}, false
	}
	bytes := func(n uint64) [4]byte { return [4]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)} }
	m := bytes(mask)
	ones, _ := net.IPMask(m[:]).Size()
	return netip.PrefixFrom(netip.AddrFrom4(bytes(destination)), ones), true
}

func overlaps(used []netip.Prefix, n network) bool {
	mine := netip.MustParsePrefix(fmt.Sprintf("10.77.%d.0/24", n.Index))
	for _, p := range used {
		if p.Bits() > 0 && p.Overlaps(mine) {
			return true
		}
	}
	return false
}

// connect gives the namespace of process pid the address of a host.
func (n network) connect(ctx context.Context, host, pid int) error {
	inside := func(args ...string) error {
		return run(ctx, "nsenter", append([]string{"-t", strconv.Itoa(pid), "-n", "ip"}, args...)...)
	}
	veth := n.veth(host)
	steps := []func() error{
		func() error {
			return ip(ctx, "link", "add", veth, "master", n.Bridge, "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(pid))
		},
		func() error { return ip(ctx, "link", "set", veth, "up") },
		func() error { return inside("link", "set", "lo", "up") },
		func() error { return inside("addr", "add", n.address(host)+"/24", "dev", "eth0") },
		func() error { return inside("link", "set", "eth0", "up") },
		func() error {
			return inside("route", "add", "default", "via", fmt.Sprintf("10.77.%d.1", n.Index))
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// remove takes the bridge away, and with it the hosts' ends that are left.
func (n network) remove(ctx context.Context) error {
	if !n.isolated() {
		return nil
	}
	links, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, l := range links {
		if l.Name != n.Bridge && !strings.HasPrefix(l.Name, n.Bridge+"h") {
			continue
		}
		if e := ip(ctx, "link", "del", l.Name); e != nil && !strings.Contains(e.Error(), "Cannot find device") {
			err = errors.Join(err, e)
		}
	}
	return err
}

func ip(ctx context.Context, args ...string) error { return run(ctx, "ip", args...) }

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
