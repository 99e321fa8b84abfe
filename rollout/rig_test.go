package rollout

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

// rig drives an engine through a scripted run: every command succeeds at
// once unless told otherwise, hosts have 100 requests a second each, time
// goes by in seconds.
type rig struct {
	t      *testing.T
	e      *Engine
	now    time.Time
	fail   map[string]int          // "verb host": how many answers fail from now on
	mute   map[string]bool         // "verb host": no answer at all
	errors func(host string) int64 // failed canary requests in 100
	rps    int64                   // of each host
	quiet  string                  // a host without traffic
	live   map[string]Instance     // overrides
	on     map[string][]Event      // "verb host" or a step's What: events that follow it
	looks  map[string]*simHost     // watched hosts
	log    []Command
	end    *Command
}

func newRig(t *testing.T, p Plan) *rig {
	t.Helper()
	e, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, e: e, now: time.Unix(1_700_000_000, 0), rps: 100, fail: map[string]int{}, mute: map[string]bool{},
		live: map[string]Instance{}, on: map[string][]Event{}, looks: map[string]*simHost{},
		errors: func(string) int64 { return 0 }}
}

// send gives the engine an event and everything that follows from it.
func (r *rig) send(ev Event) {
	queue := []Event{ev}
	for len(queue) > 0 {
		ev, queue = queue[0], queue[1:]
		for _, c := range r.e.Step(r.now, ev) {
			r.log = append(r.log, c)
			queue = append(queue, r.execute(c)...)
		}
	}
}

func (r *rig) execute(c Command) []Event {
	key := string(c.Verb) + " " + c.Host
	var follow []Event
	switch c.Verb {
	case Finish:
		r.end = &c
	case Watch:
		r.looks[c.Host] = &simHost{pid: 7}
	case Unwatch:
		delete(r.looks, c.Host)
	case Note:
		if n, ok := c.Note.(StepNote); ok {
			key = n.What
		}
	case Wake:
	default:
		follow = r.answer(key, c)
	}
	follow = append(r.on[key], follow...)
	delete(r.on, key)
	return follow
}

func (r *rig) answer(key string, c Command) []Event {
	if r.mute[key] {
		return nil
	}
	if r.fail[key] > 0 {
		r.fail[key]--
		return []Event{Done{Command: c, Err: errors.New("broken")}}
	}
	if l := r.looks[c.Host]; l != nil && c.Verb == Shift {
		l.weight = c.Weight
	}
	return []Event{Done{Command: c}}
}

// run goes on until the engine finishes, or for seconds.
func (r *rig) run(seconds int) *rig {
	r.t.Helper()
	if r.now.Unix() == 1_700_000_000 {
		r.send(Begin{})
	}
	for range seconds {
		if r.end != nil {
			break
		}
		r.now = r.now.Add(time.Second)
		r.count()
		r.send(Tick{})
	}
	return r
}

func (r *rig) count() {
	hosts := make([]string, 0, len(r.looks))
	for h := range r.looks {
		hosts = append(hosts, h)
	}
	slices.Sort(hosts)
	for _, h := range hosts {
		l := r.looks[h]
		if l == nil {
			continue // unwatched by what the look before brought about
		}
		rps := r.rps
		if h == r.quiet {
			rps = 0
		}
		canary := rps * int64(l.weight) / int64(release.Full)
		l.canary.Requests += canary
		l.canary.Errors += canary * r.errors(h) / 100
		l.stable.Requests += rps - canary
		live, set := r.live[h]
		if !set {
			live = Instance{State: "running", PID: l.pid}
		}
		r.send(Counted{Host: h, Epoch: "1", Canary: l.canary, Stable: l.stable, Live: live})
	}
}

// told lists what hosts were told: "shift web1 5%".
func (r *rig) told(verbs ...Verb) []string {
	var out []string
	for _, c := range r.log {
		if c.Host == "" || !slices.Contains(verbs, c.Verb) {
			continue
		}
		s := string(c.Verb) + " " + c.Host
		if c.Verb == Shift {
			s += " " + c.Weight.String()
		}
		out = append(out, s)
	}
	return out
}

func (r *rig) notes() (out []any) {
	for _, c := range r.log {
		if c.Note != nil {
			out = append(out, c.Note)
		}
	}
	return out
}

// steps lists the steps that began.
func (r *rig) steps() []string {
	var out []string
	for _, n := range r.notes() {
		if s, ok := n.(StepNote); ok {
			out = append(out, fmt.Sprintf("%d/%d %d/%d %s", s.Batch, s.Batches, s.Step, s.Steps, s.What))
		}
	}
	return out
}

func (r *rig) verdicts() (out []VerdictNote) {
	for _, n := range r.notes() {
		if v, ok := n.(VerdictNote); ok {
			out = append(out, v)
		}
	}
	return out
}

func (r *rig) wantEnd(s State, why ...string) {
	r.t.Helper()
	if r.end == nil {
		r.t.Fatalf("no end; state %s, log %+v", r.e.State(), r.log)
	}
	if r.end.State != s || r.e.State() != s {
		r.t.Fatalf("ended %s (%s), want %s", r.end.State, r.end.Why, s)
	}
	for _, w := range why {
		if !strings.Contains(r.end.Why, w) {
			r.t.Errorf("why %q, want %q in it", r.end.Why, w)
		}
	}
}

func (r *rig) wantTold(verb Verb, want ...string) {
	r.t.Helper()
	got := r.told(verb)
	for i := range want {
		want[i] = string(verb) + " " + want[i]
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("told %v, want %v", got, want)
	}
}

func (r *rig) wantState(s State) {
	r.t.Helper()
	if got := r.e.State(); got != s {
		r.t.Fatalf("state %s, want %s; %+v", got, s, r.end)
	}
}

func percent(p int) Step {
	w := release.Weight(p * 100)
	return Step{SetWeight: &w}
}

func pauseFor(d time.Duration) Step { return Step{Pause: &d} }

var analyse = Step{Analysis: true}

// canaryPlan is two hosts in one batch: 5 % and an analysis.
func canaryPlan() Plan {
	return Plan{
		Strategy: Canary, Batches: [][]string{{"web1", "web2"}}, Steps: []Step{percent(5), analyse},
		SettleTime: 30 * time.Second, Signals: []Signal{{Name: "errors", Kind: "errors", MaxRatio: 0.01, Interval: time.Second}},
	}
}
