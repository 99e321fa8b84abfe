//go:build linux

package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/go-shipper/shipper/examples/load"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/project"
	"github.com/go-shipper/shipper/release"
)

// traffic begins constant load on the public ports; stop ends it and reports.
func traffic(t *testing.T, p *project.Project) (g *load.Generator, stop func() load.Report) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		if t.Failed() {
			t.Logf("what users saw\n%s", g.Wait())
		}
	})
	g = load.Start(ctx, load.Options{
		URLs: p.URLs(), Rate: 200, Posts: 0.1, Body: `{"item":"tea","quantity":1}`, KeepAlive: 32, Short: 12,
		Timeout: time.Minute, // a host that stalls loses nothing by that
	})
	return g, func() load.Report {
		cancel()
		return *g.Wait()
	}
}

// answered waits until so many requests were sent in all.
func answered(t *testing.T, g *load.Generator, n int64) {
	t.Helper()
	if err := g.Until(t.Context(), func(r load.Report) bool { return r.Sent() >= n }); err != nil {
		t.Fatal(err)
	}
}

// more waits until a version has answered n requests more.
func more(t *testing.T, g *load.Generator, version string, n int64) {
	t.Helper()
	have := g.Report().Of(version).OK
	if err := g.Until(t.Context(), func(r load.Report) bool { return r.Of(version).OK >= have+n }); err != nil {
		t.Fatal(err)
	}
}

// wantNoneLost fails the test if any request was lost, or failed by anything
// but the versions named.
func wantNoneLost(t *testing.T, r load.Report, bad ...string) {
	t.Helper()
	if lost := r.Lost(); lost.Failed > 0 {
		t.Errorf("%d requests lost: %s\n%s", lost.Failed, lost.Example, r)
	}
	others := r.Sum(func(k load.Key) bool {
		for _, v := range bad {
			if k.Version == v {
				return false
			}
		}
		return true
	})
	if others.Failed > 0 {
		t.Errorf("%d requests failed that should not: %s\n%s", others.Failed, others.Example, r)
	}
}

// weightOf waits until a run has given its slot at least so much traffic on a
// host; an empty host is any.
func weightOf(host string, weight release.Weight) func([]journal.Record) bool {
	return func(records []journal.Record) bool {
		_, _, ok := project.Find(records, journal.TypeWeight, func(r journal.Record, w journal.WeightSet) bool {
			return (host == "" || r.Host == host) && w.Weight >= weight
		})
		return ok
	}
}

// unattended is a rollout that needs no traffic to get through: nothing in it
// waits for evidence.
func unattended() project.Config {
	return project.Config{Steps: "[{setWeight: 50}]", Bake: "0s"}
}
