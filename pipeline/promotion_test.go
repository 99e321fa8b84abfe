package pipeline

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func made(version string) release.Release {
	return release.Release{Version: version, Digest: release.Of([]byte(version))}
}

// held is a revision that was committed at a minute.
func held(version string, minute int) rpc.Retained {
	return rpc.Retained{Revision: release.Of([]byte("revision " + version)), Release: made(version), Committed: at(minute)}
}

// stood is a host's record, newest first; the first is stable.
func stood(kept ...rpc.Retained) rpc.ServiceStatus {
	st := rpc.ServiceStatus{Retained: kept}
	if len(kept) > 0 {
		st.Stable = release.Blue
		st.Slots = map[release.Slot]rpc.SlotStatus{release.Blue: {Release: kept[0].Release, Revision: kept[0].Revision}}
	}
	return st
}

func ran(t *testing.T, minute int, verb, state string) HistoryEntry {
	t.Helper()
	s := newStory("run", func() time.Time { return at(minute) }, func(journal.Record) {})
	e := HistoryEntry{Started: s.tell(journal.TypeRunStarted, "", journal.RunStarted{Verb: verb})}
	if state != "" {
		e.Result = s.tell(journal.TypeResult, "", journal.Result{Verb: verb, State: state})
	}
	return e
}

func TestStayOfARelease(t *testing.T) {
	t.Parallel()
	rejected := held("1.0.0", 10)
	rejected.Rejected = true
	reconfigured := held("1.0.0", 40)
	reconfigured.Revision = release.Of([]byte("other settings"))
	otherBytes := held("1.0.0", 10)
	otherBytes.Release.Digest = release.Of([]byte("built elsewhere"))
	tests := map[string]struct {
		st    rpc.ServiceStatus
		runs  []HistoryEntry
		want  time.Duration
		wrong string
	}{
		"stable since then":                   {st: stood(held("1.0.0", 10)), want: 50 * time.Minute},
		"a failed run does not count":         {st: stood(held("1.0.0", 10)), runs: []HistoryEntry{ran(t, 20, "deploy", "RolledBack")}, want: 50 * time.Minute},
		"replaced":                            {st: stood(held("1.1.0", 40), held("1.0.0", 10)), runs: []HistoryEntry{ran(t, 39, "deploy", "Promoted")}, want: 29 * time.Minute},
		"replaced, its journal is gone":       {st: stood(held("1.1.0", 40), held("1.0.0", 10)), want: 30 * time.Minute},
		"the one that replaced it came again": {st: stood(held("1.1.0", 50), held("1.0.0", 10)), runs: []HistoryEntry{ran(t, 12, "deploy", "Promoted"), ran(t, 49, "deploy", "Promoted")}, want: 2 * time.Minute},
		"rolled back to it meanwhile":         {st: stood(held("1.1.0", 50), held("1.0.0", 10)), runs: []HistoryEntry{ran(t, 15, "rollback", "RolledBack")}, want: 5 * time.Minute},
		"a run with no end told":              {st: stood(held("1.1.0", 50), held("1.0.0", 10)), runs: []HistoryEntry{ran(t, 13, "deploy", "")}, want: 3 * time.Minute},
		"the longest stay of two":             {st: stood(reconfigured, held("1.0.0", 10)), want: 30 * time.Minute},
		"rolled back from":                    {st: stood(held("0.9.0", 20), rejected), wrong: "rolled back there"},
		"good again with other settings":      {st: stood(reconfigured, rejected), want: 20 * time.Minute},
		"never":                               {st: stood(held("0.9.0", 10)), wrong: "never committed"},
		"nothing there":                       {st: stood(), wrong: "nothing runs there"},
		"same version, other bytes":           {st: stood(otherBytes), wrong: "its 1.0.0 has the digest"},
	}
	for name, tt := range tests {
		got, err := stayOf(tt.st, tt.runs, made("1.0.0"), at(60))
		var missing *unproven
		switch {
		case tt.wrong != "":
			if !errors.As(err, &missing) || !strings.Contains(missing.why, tt.wrong) {
				t.Errorf("%s: %v, want %q", name, err, tt.wrong)
			}
		case err != nil || got.length() != tt.want:
			t.Errorf("%s: %s, %v; want %s", name, got.length(), err, tt.want)
		}
	}
}

// production is a second environment on a host of its own, which takes only
// what has been through the bed's.
func (b *bed) production(wait time.Duration) *Pipeline {
	b.t.Helper()
	if b.machines["prod1"] == nil {
		b.machines["prod1"] = newMachine(b.t, "prod1")
	}
	p := b.pipeline()
	p.Target.Environment = "production"
	p.Target.Hosts = []config.Host{{Name: "prod1", Address: "prod1"}}
	p.Target.Traffic.Router = "none"
	p.Target.Traffic.Listen = ""
	p.Target.Service.Ports = config.Ports{Blue: ports.Free(b.t), Green: ports.Free(b.t)}
	p.Target.Requires = config.Requires{Environment: b.target.Environment, For: wait}
	p.Before = b.pipeline()
	return p
}

func TestOnlyWhatHasBeenThroughIsTaken(t *testing.T) {
	b := newBed(t)
	deploy := func(p *Pipeline, bundle string) (Result, error) {
		return p.Deploy(t.Context(), DeployRequest{Bundle: bundle})
	}
	refused := func(res Result, err error, why string) {
		t.Helper()
		b.want(res, err, rollout.Failed, problem.Verification)
		if !strings.Contains(err.Error(), why) || problem.HintOf(err) == "" {
			t.Fatalf("%v (hint %q), want %q and a hint", err, problem.HintOf(err), why)
		}
	}
	first := b.bundle("1.0.0")
	res, err := deploy(b.production(0), first)
	refused(res, err, "nothing runs there")

	res, err = deploy(b.pipeline(), first)
	b.want(res, err, rollout.Promoted, 0)
	res, err = deploy(b.production(time.Hour), first)
	refused(res, err, "of 1h0m0s")
	res, err = deploy(b.production(0), b.bundle("1.1.0"))
	refused(res, err, "never committed there")

	b.forget()
	res, err = deploy(b.production(0), first)
	b.want(res, err, rollout.Promoted, 0)
	if !strings.Contains(b.story(), journal.TypePromotion) {
		t.Errorf("the proof was not told\n%s", b.story())
	}
	records := kept(t, b.production(0))
	if len(records) == 0 {
		t.Error("the proof is not in the journal of the host that took the release")
	}
}

// kept reads the proofs that the hosts of p remember of their latest run.
func kept(t *testing.T, p *Pipeline) []journal.Record {
	t.Helper()
	f := p.fleet()
	defer f.close()
	var out []journal.Record
	err := f.each(t.Context(), func(ctx context.Context, h *host) error {
		return h.call(ctx, 0, func(c *rpc.Client) error {
			records, err := c.Read(ctx, rpc.Read{Service: p.Target.Service.Name})
			for _, r := range records {
				if r.Type == journal.TypePromotion {
					out = append(out, r)
				}
			}
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhereNobodyAnswersNothingIsProven(t *testing.T) {
	b := newBed(t)
	p := b.production(0)
	b.machines["web1"].cut()
	res, err := p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.0.0")})
	b.want(res, err, rollout.Failed, problem.Unreachable)
	p.Before = nil
	res, err = p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.0.0")})
	b.want(res, err, rollout.Failed, problem.Failed)
}
