//go:build linux

package main

import (
	"context"
	"fmt"
	"time"
)

// fleetDelay is how far away the hosts of the fleet are, there and back.
const fleetDelay = 50 * time.Millisecond

// fleet is the next version to 200 hosts beside one. All hosts share this
// machine's processors and disk.
func (b *bench) fleet(ctx context.Context) error {
	many, err := b.beside(ctx, "whole", "fleet200_ratio")
	if err != nil {
		return err
	}
	b.results["fleet200_controller_cpu_ms"], b.results["fleet200_host_cpu_ms"] = each(many.self), each(many.hosts.busy)
	b.results["fleet200_host_written_mb"] = float64(many.hosts.written) * 512 / 1e6 / 200
	b.row("of it the controller's processor, per host", fmt.Sprintf("%.0f ms", each(many.self)))
	b.row("of it a host's processor and disk", fmt.Sprintf("%.0f ms", each(many.hosts.busy)), fmt.Sprintf("%.0f MB", b.results["fleet200_host_written_mb"]))
	return nil
}

// lightFleet is the same with hosts that need little of this machine.
func (b *bench) lightFleet(ctx context.Context) error {
	many, err := b.beside(ctx, light, "fleet200_light_ratio")
	if err != nil {
		return err
	}
	b.results["fleet200_light_cpu_ms"] = each(many.self) + each(many.hosts.busy)
	b.row("both ends' processor, per light host", fmt.Sprintf("%.0f ms", b.results["fleet200_light_cpu_ms"]))
	return nil
}

const light = "light" // kind of hosts

// beside is 200 hosts of a kind, and how much longer they take than one.
func (b *bench) beside(ctx context.Context, kind, key string) (many upgraded, err error) {
	n, err := b.prepare(ctx)
	if err != nil {
		return many, err
	}
	one, err := b.upgrade(ctx, n, 1, fleetDelay, kind == light)
	if err != nil {
		return one, err
	}
	if many, err = b.upgrade(ctx, n, 200, fleetDelay, kind == light); err != nil {
		return many, err
	}
	b.results[key] = many.seconds / one.seconds
	b.row("next version to 1 "+kind+" host, 50 ms away", fmt.Sprintf("%.2f s", one.seconds))
	b.row("next version to 200 "+kind+" hosts, 50 ms away", fmt.Sprintf("%.2f s", many.seconds), fmt.Sprintf("%.2f", b.results[key]))
	return many, nil
}

func each(d time.Duration) float64 { return d.Seconds() * 1000 / 200 }
