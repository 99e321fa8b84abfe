//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

const (
	serviceName = "bench"
	publicPort  = 8080
	metricsPort = 9464
	stableFails = 0.001
	hostsEach   = 2 // of a fleet
)

// fleet is two hosts, their clients, and what the controller told.
type fleet struct {
	dir      string
	machines map[string]*machine
	crowd    *crowd
	target   config.Target
	versions int

	mu      sync.Mutex
	records []journal.Record
}

// newFleet starts the hosts and releases a good version.
func newFleet(ctx context.Context, dir string, number int, o options) (*fleet, error) {
	f := &fleet{dir: filepath.Join(dir, fmt.Sprintf("fleet%d", number)), machines: map[string]*machine{}}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	f.target = target()
	var urls []string
	for i := range hostsEach {
		n := number*hostsEach + i + 1
		m, err := startMachine(ctx, f.dir, n)
		if err != nil {
			return nil, errors.Join(err, f.end())
		}
		name := fmt.Sprintf("web%d", n)
		f.machines[name] = m
		f.target.Hosts = append(f.target.Hosts, config.Host{Name: name, Address: hostAddress(n)})
		urls = append(urls, fmt.Sprintf("http://%s:%d/", hostAddress(n), publicPort))
	}
	f.crowd = newCrowd(o.clients, urls)
	if state, err := f.deploy(ctx, f.target, stableFails); state != rollout.Promoted {
		return nil, errors.Join(fmt.Errorf("release a good version: %s: %w", state, err), f.end())
	}
	return f, nil
}

// target is what a shipper.yaml with its defaults would say.
func target() config.Target {
	return config.Target{
		Path: "shipper.yaml", Environment: "bench",
		Service: config.Service{
			Name: serviceName, Mode: "native", StopTimeout: 5 * time.Second, StartTimeout: time.Minute,
			Ports: config.Ports{Blue: 18080, Green: 18081},
		},
		Traffic: config.Traffic{
			Router: "embedded", Listen: fmt.Sprintf(":%d", publicPort), DrainTimeout: 5 * time.Second, Boot: "refuse",
			Metrics: fmt.Sprintf(":%d", metricsPort),
		},
		Checks:    []config.Check{{HTTP: "/healthz", Interval: 50 * time.Millisecond, Timeout: 5 * time.Second, Successes: 3, Deadline: time.Minute}},
		Transport: config.Transport{Type: "local"},
		Rollout:   config.Rollout{Strategy: "canary", KeepWarm: time.Minute, ParkFor: time.Hour, ProgressDeadline: time.Hour},
		Rollback:  config.Rollback{Auto: true, Scope: "fleet", Lease: 30 * time.Second},
		Retention: config.Retention{Releases: 5},
		Analysis: config.Analysis{
			Alpha: 0.001, MinRequests: 50, MaxWait: time.Hour, OnInsufficientData: "extend",
			Signals: []config.Signal{{
				Name: "evidence", Evidence: &config.EvidenceTest{MaxErrors: 0.01, Margin: 1, Tolerance: 0.2}, Interval: 5 * time.Second,
			}},
		},
	}
}

// deploy releases another version, which fails as often as it is told.
func (f *fleet) deploy(ctx context.Context, t config.Target, fails float64) (rollout.State, error) {
	f.versions++
	t.Service.Env = map[string]string{failVariable: fmt.Sprint(fails)}
	path, err := f.bundle(f.version())
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	f.records = nil
	f.mu.Unlock()
	p := &pipeline.Pipeline{
		Target: t, Owner: "bench", Version: "bench", Now: time.Now, Emit: f.tell,
		Dial: func(_ context.Context, h config.Host) (transport.Conn, error) { return f.machines[h.Name], nil },
		Bridge: func(context.Context, transport.Conn, config.Host, bool) (string, error) {
			return "serve", nil
		},
		Leave: func(context.Context, transport.Conn, config.Host) error { return nil },
	}
	res, err := p.Deploy(ctx, pipeline.DeployRequest{Bundle: path})
	return res.State, err
}

// version names the release that was deployed last.
func (f *fleet) version() string { return fmt.Sprintf("1.0.%d", f.versions) }

func (f *fleet) tell(r journal.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.records = append(f.records, r)
}

// when is the time of the first record of a type.
func (f *fleet) when(kind string) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.records {
		if r.Type == kind {
			return r.Time
		}
	}
	return time.Time{}
}

// bundle packs this very program, by a script that is as good as empty: what
// a push costs is not the question here.
func (f *fleet) bundle(version string) (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	script := fmt.Sprintf("#!/bin/sh\n# %s\nexec '%s' instance\n", version, exe)
	m := packaging.Manifest{
		Protocol: packaging.Protocol, Name: serviceName, Version: version, Builder: "prebuilt", Time: time.Unix(1, 0).UTC(),
		Targets: []packaging.TargetManifest{{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Executable: serviceName, Files: []release.File{
			{Path: serviceName, Size: int64(len(script)), SHA256: release.Of([]byte(script))},
		}}},
	}
	path := filepath.Join(f.dir, version+".zip")
	out, err := os.Create(path)
	if err != nil {
		return "", err
	}
	_, err = packaging.WriteBundle(out, m, func(packaging.TargetManifest, release.File) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(script)), nil
	})
	return path, errors.Join(err, out.Close())
}

func (f *fleet) end() error {
	var err error
	for _, m := range f.machines {
		err = errors.Join(err, m.end())
	}
	if f.crowd != nil {
		f.crowd.close()
	}
	return err
}
