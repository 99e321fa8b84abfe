//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/delta/deltatest"
	"github.com/go-shipper/shipper/journal"
)

// next is a service and its next version, and hosts that have the first.
type next struct {
	first, then string // bundles
	size        int
	cache       string // what the controller keeps
	hosts       string // folder of the one host that has it
}

// prepare pushes the first version to one host.
func (b *bench) prepare(ctx context.Context) (n next, err error) {
	n.cache, n.hosts = filepath.Join(b.dir, "kept"), filepath.Join(b.dir, "next")
	var exe []byte
	for _, v := range []struct {
		into   *string
		change string
	}{{&n.first, deltatest.First}, {&n.then, deltatest.OneLine}} {
		if exe, err = deltatest.Build(ctx, b.dir, v.change); err != nil {
			return n, err
		}
		if *v.into, err = bundle(b.dir, b.version(), "windows", exe); err != nil {
			return n, err
		}
	}
	n.size = len(exe)
	return n, b.withHosts(ctx, hostsOrder{Dir: n.hosts, N: 1}, func(hosts []remote) error {
		p := controller(hosts, false)
		p.Cache = n.cache
		_, err := push(ctx, p, n.first)
		return err
	})
}

// clone makes n hosts of the one. Files that never change are shared.
func (n next) clone(ctx context.Context, dir string, hosts int) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i := range hosts {
		if err := link(ctx, filepath.Join(n.hosts, hostName(0)), filepath.Join(dir, hostName(i))); err != nil {
			return err
		}
	}
	return link(ctx, n.cache, filepath.Join(dir, "kept"))
}

func link(ctx context.Context, from, to string) error {
	if out, err := exec.CommandContext(ctx, "cp", "-al", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("clone %s: %w: %s", from, err, out)
	}
	return nil
}

// upgraded is what pushing the next version to some hosts took.
type upgraded struct {
	seconds   float64 // from the first byte of it to the last host's end
	slowest   float64 // of the hosts' pushes
	told      map[string]journal.Push
	encodings int
	wire      int64         // all bytes to the hosts and back
	self      time.Duration // that the controller kept a processor busy
	hosts     processor     // that the hosts did, all together
}

func (b *bench) upgrade(ctx context.Context, n next, hosts int, delay time.Duration) (u upgraded, err error) {
	dir, err := os.MkdirTemp(b.dir, "clones-")
	if err != nil {
		return u, err
	}
	defer os.RemoveAll(dir)
	if err := n.clone(ctx, dir, hosts); err != nil {
		return u, err
	}
	err = b.withHosts(ctx, hostsOrder{Dir: dir, N: hosts, Delay: delay}, func(hosts []remote) error {
		var wire atomic.Int64
		if len(hosts) == 1 {
			way, err := farCounted(ctx, fmt.Sprintf("127.0.0.1:%d", hosts[0].Port), 0, &wire)
			if err != nil {
				return err
			}
			hosts[0].Port = way.Port
		}
		p := controller(hosts, false)
		p.Cache = filepath.Join(dir, "kept") // cold: no delta was made yet
		var made atomic.Int64
		p.Emit = func(r journal.Record) {
			if r.Type == journal.TypeDelta {
				made.Add(1)
			}
		}
		began, before := time.Now(), own()
		u.told, err = push(ctx, p, n.then)
		u.seconds, u.wire, u.encodings = time.Since(began).Seconds(), wire.Load(), int(made.Load())
		u.self = own().busy - before.busy
		for _, t := range u.told {
			u.slowest = max(u.slowest, t.Seconds)
		}
		return err
	})
	u.hosts = b.hosts
	return u, err
}

// delta is the next version to one host, and to 64 that have the same.
func (b *bench) delta(ctx context.Context) error {
	n, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	one, err := b.upgrade(ctx, n, 1, 0)
	if err != nil {
		return err
	}
	many, err := b.upgrade(ctx, n, 64, 0)
	if err != nil {
		return err
	}
	t, percent := one.told[hostName(0)], 100/float64(n.size)
	b.results["delta_percent"], b.results["delta_wire_percent"] = float64(t.Wire)*percent, float64(one.wire)*percent
	b.results["delta_seconds"], b.results["encodings_64"] = t.Seconds, float64(many.encodings)
	b.row("next version as a delta, payload", fmt.Sprintf("%d B", t.Wire), fmt.Sprintf("%.3f %%", b.results["delta_percent"]))
	b.row("next version as a delta, all that travels", fmt.Sprintf("%d B", one.wire), fmt.Sprintf("%.3f %%", b.results["delta_wire_percent"]))
	b.row("next version, cold cache", fmt.Sprintf("%.2f s", t.Seconds))
	b.row("encodings for 64 hosts", fmt.Sprint(many.encodings))
	return nil
}

// fleet is the next version to 200 hosts that are 50 ms away, beside one.
func (b *bench) fleet(ctx context.Context) error {
	const delay = 50 * time.Millisecond
	n, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	one, err := b.upgrade(ctx, n, 1, delay)
	if err != nil {
		return err
	}
	many, err := b.upgrade(ctx, n, 200, delay)
	if err != nil {
		return err
	}
	b.results["fleet200_ratio"] = many.seconds / one.seconds
	b.results["fleet200_controller_cpu_ms"] = many.self.Seconds() * 1000 / 200
	b.results["fleet200_host_cpu_ms"] = many.hosts.busy.Seconds() * 1000 / 200
	b.results["fleet200_host_written_mb"] = float64(many.hosts.written) * 512 / 1e6 / 200
	b.row("next version to 1 host, 50 ms away", fmt.Sprintf("%.2f s", one.seconds))
	b.row("next version to 200 hosts, 50 ms away", fmt.Sprintf("%.2f s", many.seconds), fmt.Sprintf("%.2f", many.seconds/one.seconds))
	b.row("of it the controller's processor, per host", fmt.Sprintf("%.0f ms", b.results["fleet200_controller_cpu_ms"]))
	b.row("of it a simulated host's processor and disk", fmt.Sprintf("%.0f ms", b.results["fleet200_host_cpu_ms"]), fmt.Sprintf("%.0f MB", b.results["fleet200_host_written_mb"]))
	return nil
}
