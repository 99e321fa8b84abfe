//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// clientNet holds the addresses of all clients: every address of it is ours.
const clientNet = "10.200.0.0/16"

func clientAddress(i int) string { return fmt.Sprintf("10.200.%d.%d", i/250, 1+i%250) }

// hostAddress is that of host n, which has a cable to the clients' network.
func hostAddress(n int) string { return fmt.Sprintf("10.9.%d.2", n) }

func prepareNetwork(ctx context.Context) error {
	return ip(ctx, "link set lo up", "route add local "+clientNet+" dev lo")
}

// connect lays the cable of host n, whose network is that of process pid.
func connect(ctx context.Context, n, pid int) error {
	cable := fmt.Sprintf("host%d", n)
	return ip(ctx,
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", cable, pid),
		fmt.Sprintf("addr add 10.9.%d.1/24 dev %s", n, cable),
		"link set "+cable+" up")
}

// settle is the other end of the cable, in the host's network.
func settle(ctx context.Context, n int) error {
	return ip(ctx, "link set lo up", fmt.Sprintf("addr add %s/24 dev eth0", hostAddress(n)), "link set eth0 up",
		fmt.Sprintf("route add default via 10.9.%d.1", n))
}

func ip(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		if out, err := exec.CommandContext(ctx, "ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, out)
		}
	}
	return nil
}
