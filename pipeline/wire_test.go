package pipeline

import (
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// at is a controller that does f when a record of the type is told, once.
func (b *bed) at(kind string, f func()) *Pipeline {
	p := b.pipeline()
	done := false
	p.Emit = func(r journal.Record) {
		if r.Type == kind && !done {
			done = true
			f()
		}
		b.emit(r)
	}
	return p
}

// The wire breaks for a moment while a step is judged: the evidence, the
// journal and the end of the run go over a new one.
func TestWireBreaksInAStep(t *testing.T) {
	b := newBed(t)
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.load()
	p := b.at(journal.TypeWeight, b.machines["web1"].blink)
	res, err = p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.1.0")})
	b.want(res, err, rollout.Promoted, 0)
}

func TestWireBreaksAtTheEnd(t *testing.T) {
	b := newBed(t)
	p := b.at(journal.TypeCommitted, b.machines["web1"].blink)
	res, err := p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.0.0")})
	b.want(res, err, rollout.Promoted, 0)
	if st := b.stable("1.0.0"); st.Hosts[0].Status.Session != nil {
		t.Error("the lock was not freed")
	}
	runs, err := b.pipeline().History(t.Context())
	if err != nil || len(runs) != 1 || runs[0].Result.Type != journal.TypeResult {
		t.Errorf("the host does not know how the run ended: %+v, %v", runs, err)
	}
}

// A request comes once, also when the connection that brought it broke before
// the host heard that it came.
func TestRequestComesOnceOverABrokenWire(t *testing.T) {
	b := newBed(t)
	b.steps(config.Step{SetWeight: weight(5)}, config.Step{Pause: forever()}, config.Step{SetWeight: weight(10)}, config.Step{Pause: forever()})
	b.target.Analysis.Signals = nil
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	p := b.at(journal.TypeRequest, b.machines["web1"].blink)
	bundle := b.bundle("1.1.0")
	run := b.begin(func() (Result, error) { return p.Deploy(t.Context(), DeployRequest{Bundle: bundle}) })
	ask := func(kind string, paused int) {
		run.untilCount(journal.TypePaused, paused)
		if _, err := b.pipeline().Ask(t.Context(), kind); err != nil {
			t.Fatal(err)
		}
	}
	ask("promote", 1)
	ask("abort", 2)
	e := run.end()
	b.want(e.res, e.err, rollout.Aborted, problem.Aborted)
	if n := strings.Count(b.story(), " "+journal.TypeRequest+" "); n != 2 {
		t.Errorf("%d requests came, want 2\n%s", n, b.story())
	}
}

// What is asked for during the push holds afterwards.
func TestAskedDuringThePush(t *testing.T) {
	for _, kind := range []string{"abort", "pause"} {
		t.Run(kind, func(t *testing.T) {
			b := newBed(t)
			b.steps()
			p := b.at(journal.TypeRunStarted, func() {
				if _, err := b.pipeline().Ask(t.Context(), kind); err != nil {
					t.Error(err)
				}
			})
			path := b.bundle("1.0.0")
			b.pushAfter(p, path, journal.TypeRequest)
			run := b.begin(func() (Result, error) { return p.Deploy(t.Context(), DeployRequest{Bundle: path}) })
			if kind == "pause" {
				run.until(journal.TypePaused)
				if _, err := b.pipeline().Ask(t.Context(), "abort"); err != nil {
					t.Error(err)
				}
			}
			e := run.end()
			b.want(e.res, e.err, rollout.Aborted, problem.Aborted)
			if st, err := b.pipeline().Status(t.Context()); err != nil || st.State != rollout.Aborted {
				t.Errorf("status: %s, %v", st.State, err)
			}
		})
	}
}

// pushAfter holds p's push back until a record of the type was told.
func (b *bed) pushAfter(p *Pipeline, path, kind string) {
	b.t.Helper()
	open, err := packaging.Open(path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { open.Close() })
	p.enc.done = map[string]func() (any, error){}
	for _, target := range open.Manifest.Targets {
		for _, f := range target.Files {
			p.enc.done[string(f.SHA256)] = func() (any, error) {
				b.until(kind)
				return compress(open, f.SHA256)
			}
		}
	}
}

// A record that a host does not take must not keep the others from it.
func TestRecordThatNoHostTakes(t *testing.T) {
	b := newBed(t)
	p := b.pipeline()
	f := p.fleet()
	defer f.close()
	s := newStory(newRun(time.Now()), time.Now, nil)
	if err := f[0].acquire(t.Context(), s.run, "deploy"); err != nil {
		t.Fatal(err)
	}
	stop := p.scribe(t.Context(), f, s)
	s.tell(journal.TypeRunStarted, "", journal.RunStarted{Verb: "deploy"})
	s.note(journal.TypeWarning, "", strings.Repeat("x", journal.MaxLine))
	s.tell(journal.TypeResult, "", journal.Result{State: "Failed"})
	stop()
	p.release(f, s.run, rollout.Failed, "")
	runs, err := p.History(t.Context())
	if err != nil || len(runs) != 1 || runs[0].Result.Type != journal.TypeResult {
		t.Errorf("%+v, %v", runs, err)
	}
}
