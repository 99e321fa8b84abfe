//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/helper"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/bootstrap"
	"github.com/go-shipper/shipper/transport/winrm"
)

const serviceName = "bench"

// remote is a host and how to reach it.
type remote struct {
	Host, Address          string
	Port                   int
	HTTPS                  bool
	User, Password, CAFile string
	Serve                  string // the command line of the bridge; empty: bring the helper there
}

func (r remote) config() winrm.Config {
	return winrm.Config{Host: r.Host, Address: r.Address, Port: r.Port, HTTPS: r.HTTPS, User: r.User, Password: r.Password, CAFile: r.CAFile}
}

// controller is a pipeline to those hosts.
func controller(hosts []remote, plain bool) *pipeline.Pipeline {
	t := config.Target{
		Path: "shipper.yaml", Environment: "bench", Service: config.Service{Name: serviceName},
		Transport: config.Transport{Type: "winrm"}, Bootstrap: config.Bootstrap{Allow: []string{"tar"}},
		Rollback: config.Rollback{Lease: time.Minute},
	}
	by := map[string]remote{}
	for _, h := range hosts {
		t.Hosts = append(t.Hosts, config.Host{Name: h.Host, Address: h.Address, Arch: "amd64"})
		by[h.Host] = h
	}
	ensure, _ := pipeline.Bootstrap(t, findHelper)
	return &pipeline.Pipeline{
		Target: t, Version: "bench", Owner: "bench", Now: time.Now, Plain: plain,
		Emit: func(journal.Record) {},
		Exit: func(pipeline.Result, error) int { return 0 },
		Dial: func(ctx context.Context, h config.Host) (transport.Conn, error) {
			return winrm.Dial(ctx, by[h.Name].config())
		},
		Bridge: func(ctx context.Context, conn transport.Conn, h config.Host, install bool) (string, error) {
			if line := by[h.Name].Serve; line != "" {
				return line, nil
			}
			return ensure(ctx, conn, h, install)
		},
	}
}

func findHelper(ctx context.Context, goos, goarch string) (*bootstrap.Helper, error) {
	h, err := helper.Find(ctx, goos, goarch)
	if err != nil {
		return nil, err
	}
	return bootstrap.NewHelper(h.Bytes, goos, goarch), nil
}

// push pushes a bundle and tells what each host's push was like.
func push(ctx context.Context, p *pipeline.Pipeline, bundle string) (map[string]journal.Push, error) {
	var mu sync.Mutex
	told := map[string]journal.Push{}
	emit := p.Emit
	p.Emit = func(r journal.Record) {
		emit(r)
		var one journal.Push
		if r.Type == journal.TypePush && json.Unmarshal(r.Data, &one) == nil {
			mu.Lock()
			defer mu.Unlock()
			told[r.Host] = one
		}
	}
	if _, err := p.Push(ctx, bundle); err != nil {
		return nil, err
	}
	if len(told) != len(p.Target.Hosts) {
		return nil, fmt.Errorf("%d of %d hosts told of their push", len(told), len(p.Target.Hosts))
	}
	return told, nil
}
