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
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// next is a service and its next version, and hosts that have the first.
type next struct {
	first, then string // bundles
	size        int
	base        rpc.Base // the first's executable
	cache       string   // what the controller keeps
	hosts       string   // folder of the one host that has it
}

// prepare pushes the first version to one host.
func (b *bench) prepare(ctx context.Context) (n next, err error) {
	n.cache, n.hosts = filepath.Join(b.dir, "kept"), filepath.Join(b.dir, "next")
	for _, v := range []struct {
		into   *string
		change string
	}{{&n.first, deltatest.First}, {&n.then, deltatest.OneLine}} {
		exe, err := deltatest.Build(ctx, b.dir, v.change)
		if err != nil {
			return n, err
		}
		if n.size = len(exe); n.base.Digest == "" {
			n.base = rpc.Base{Digest: release.Of(exe), Size: int64(len(exe)), Path: "service.exe"}
		}
		if *v.into, err = bundle(b.dir, b.version(), "windows", exe); err != nil {
			return n, err
		}
	}
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

// upgrade pushes the next version to whole hosts, or to light ones.
func (b *bench) upgrade(ctx context.Context, n next, hosts int, delay time.Duration, light bool) (u upgraded, err error) {
	dir, err := os.MkdirTemp(b.dir, "clones-")
	if err != nil {
		return u, err
	}
	defer os.RemoveAll(dir)
	order, copies := hostsOrder{Dir: dir, N: hosts, Delay: delay}, hosts
	if light {
		order.Base, copies = &n.base, 0
	}
	if err := n.clone(ctx, dir, copies); err != nil {
		return u, err
	}
	err = b.withHosts(ctx, order, func(hosts []remote) error {
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
	one, err := b.upgrade(ctx, n, 1, 0, false)
	if err != nil {
		return err
	}
	many, err := b.upgrade(ctx, n, 64, 0, false)
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
