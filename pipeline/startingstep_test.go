package pipeline

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// A release that fails at once is judged from its starting step on; so is its
// journal, and with another starting step as that says.
func TestStartingStep(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	pause := 500 * time.Millisecond
	b.steps(config.Step{SetWeight: weight(20)}, config.Step{Pause: &pause}, config.Step{SetWeight: weight(50)}, config.Step{Analysis: true})
	b.target.Analysis.StartingStep = 2
	b.load()
	if res, err := b.deploy(t.Context(), "1.0.0", nil); res.State != rollout.Promoted {
		t.Fatalf("first: %s, %v", res.State, err)
	}
	b.forget()
	res, err := b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_FAIL_RATIO": "0.5"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	step := 0
	for _, r := range b.records {
		var s journal.StepBegan
		if r.Type == journal.TypeStep && decode(r, &s) == nil {
			step = s.Step
		}
		if r.Type == journal.TypeMeasurement && step < 3 {
			t.Errorf("measured in step %d", step)
		}
	}
	if step < 3 {
		t.Errorf("ended in step %d:\n%s", step, b.story())
	}
	steps, err := b.pipeline().Replay(t.Context(), res.Run)
	if err != nil || len(steps) == 0 {
		t.Fatalf("%+v, %v\n%s", steps, err, b.story())
	}
	for _, s := range steps {
		if early := strings.HasPrefix(s.Step, "step 1/") || strings.HasPrefix(s.Step, "step 2/"); early != strings.Contains(s.Why, "no signal decides") {
			t.Errorf("replayed %+v", s)
		}
	}
}

// A journal whose looks come in every step is judged from the starting step
// on, and with another one as that says.
func TestReplayFromTheStartingStep(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	record := func(kind string, after int, data any) journal.Record {
		t.Helper()
		raw, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		return journal.Record{Type: kind, Time: at.Add(time.Duration(after) * time.Second), Host: "web1", Data: raw}
	}
	step := func(after, n int, what string) journal.Record {
		return record(journal.TypeStep, after, journal.StepBegan{Batch: 1, Batches: 1, Step: n, Steps: 5, What: what})
	}
	look := func(after int, errors int64) journal.Record {
		return record(journal.TypeLook, after, journal.Look{Canary: journal.Counts{Requests: 100, Errors: errors}, Stable: journal.Counts{Requests: 100}})
	}
	story := []journal.Record{
		record(journal.TypeRunStarted, 0, journal.RunStarted{}), look(0, 0),
		step(1, 1, "setWeight 5%"), record(journal.TypeWeight, 2, journal.WeightSet{Weight: 500}), look(3, 50),
		step(4, 2, "pause 20s"), look(5, 50),
		step(6, 3, "analysis"), look(7, 0), look(8, 0),
	}
	p := &Pipeline{Target: config.Target{
		Rollout:  config.Rollout{Steps: make([]config.Step, 3)},
		Analysis: config.Analysis{Signals: []config.Signal{{Name: "errors", Errors: &config.ErrorLimit{Max: 0.02}, MinRequests: 20}}},
	}}
	for start, want := range []string{"step 1/5 setWeight 5% Failed", "step 2/5 pause 20s Failed", "step 3/5 analysis Successful"} {
		p.Target.Analysis.StartingStep = start
		steps, err := p.replay(story)
		if err != nil {
			t.Fatal(err)
		}
		last := steps[len(steps)-1]
		if got := last.Step + " " + last.Outcome; got != want || len(steps) != start+1 {
			t.Errorf("from step %d: %+v, want %q", start, steps, want)
		}
	}
}

// A plan tells where only the hard rules look.
func TestForecastBeforeTheStartingStep(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.target.Analysis.Signals = []config.Signal{{Name: "evidence", Evidence: &config.EvidenceTest{MaxErrors: 0.01, Margin: 1, Tolerance: 0.2}}}
	if res, err := b.deploy(t.Context(), "1.0.0", nil); err != nil {
		t.Fatal(res, err)
	}
	pause := time.Minute
	b.steps(config.Step{SetWeight: weight(20)}, config.Step{Pause: &pause}, config.Step{SetWeight: weight(50)}, config.Step{Analysis: true})
	b.target.Analysis.StartingStep = 2
	plan := func(hotfix bool) []journal.ForecastStep {
		t.Helper()
		planned, err := b.pipeline().Plan(t.Context(), DeployRequest{Bundle: b.bundle("1.1.0"), Expect: &Expect{Rate: 100}, Hotfix: hotfix})
		if err != nil {
			t.Fatal(err)
		}
		return planned.Expect.Steps
	}
	got := plan(false)
	if len(got) != 2 || got[0].CountsFrom != 3 || got[0].Cases[0].Seconds == 0 || got[0].Cases[1].Seconds != 0 || got[1].CountsFrom != 0 || got[1].Cases[1].Seconds == 0 {
		t.Errorf("%+v", got)
	}
	if got = plan(true); len(got) != 1 || got[0].CountsFrom != 0 || got[0].Cases[1].Seconds == 0 {
		t.Errorf("hotfix: %+v", got)
	}
}
