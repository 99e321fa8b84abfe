//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// memory is what a controller takes for full pushes to one host and to 100.
func (b *bench) memory(ctx context.Context) error {
	for _, m := range []struct {
		key   string
		hosts int
	}{{"controller_mb", 1}, {"controller_mb_100", 100}} {
		path, err := bundle(b.dir, b.version(), "windows", b.variant())
		if err != nil {
			return err
		}
		err = b.withHosts(ctx, hostsOrder{Dir: filepath.Join(b.dir, m.key), N: m.hosts}, func(hosts []remote) error {
			p, err := pushAlone(ctx, pushOrder{Hosts: hosts, Bundle: path, Plain: true})
			b.results[m.key] = p.MB
			b.row(fmt.Sprintf("controller, full push to %d", m.hosts), fmt.Sprintf("%.1f MB", p.MB), fmt.Sprintf("%.1f s", p.Seconds))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// latency is a full push over a long way, by one stream and by all that there
// may be.
func (b *bench) latency(ctx context.Context) error {
	const delay = 30 * time.Millisecond
	return b.withHosts(ctx, hostsOrder{Dir: filepath.Join(b.dir, "far"), N: 1, Delay: delay}, func(hosts []remote) error {
		var one, many []float64
		for range rounds {
			for _, m := range []struct {
				into   *[]float64
				single bool
			}{{&one, true}, {&many, false}} {
				r, err := b.overLongWay(ctx, hosts, m.single)
				if err != nil {
					return err
				}
				*m.into = append(*m.into, r)
			}
		}
		b.results["latency30_speedup"] = median(many) / median(one)
		b.row("30 ms away, one stream", fmt.Sprintf("%.2f MB/s", median(one)/1e6))
		b.row("30 ms away, with lanes", fmt.Sprintf("%.2f MB/s", median(many)/1e6), fmt.Sprintf("%.2f", median(many)/median(one)))
		return nil
	})
}

func (b *bench) overLongWay(ctx context.Context, hosts []remote, single bool) (float64, error) {
	path, err := bundle(b.dir, b.version(), "windows", b.variant())
	if err != nil {
		return 0, err
	}
	p := controller(hosts, true)
	p.Single = single
	told, err := push(ctx, p, path)
	if err != nil {
		return 0, err
	}
	one := told[hosts[0].Host]
	return float64(one.Bytes) / (one.Seconds - one.Install), nil
}
