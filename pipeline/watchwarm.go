package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/rollout/analysis"
)

// Watch looks after a release that is committed, for as long as the slot it
// replaced is warm on every host, and takes it back when a hard rule, a limit
// or a signal that asks outside says so. There is no control group any more:
// what compares canary and stable has nothing to say.
func (p *Pipeline) Watch(ctx context.Context) (Result, error) {
	f := p.fleet()
	defer f.close()
	hosts := p.look(ctx, f)
	if err := firstError(hosts); err != nil {
		return Result{State: rollout.Failed}, stopped(ctx, reachProblem(err))
	}
	now := fleetStatus(hosts)
	res := Result{State: now.State, Run: now.Run, Release: now.Stable}
	warm := stillWarm(hosts)
	switch {
	case now.State != rollout.Promoted:
		res.State = rollout.Failed
		return res, problem.New(problem.Failed, "`shipper status` tells how the hosts stand", "watch: the last run is %s: there is nothing to look after", now.State)
	case warm == 0:
		return res, problem.New(problem.Failed, "`shipper rollback` starts the previous release first", "watch: the slot that was replaced is not warm any more on every host")
	}
	w, err := p.newWatcher(now, hosts)
	if err != nil {
		return res, err
	}
	w.story.note(journal.TypeLog, "", fmt.Sprintf("watching %s for %s", now.Stable, warm.Round(time.Second)))
	failed, err := w.until(ctx, f, p.Now().Add(warm))
	if err != nil || failed == nil {
		return res, stopped(ctx, err)
	}
	f.close()
	if held := p.heldBack(hosts); held != "" {
		return p.standStill(ctx, res, failed.Why, held)
	}
	back, err := p.Rollback(ctx, RollbackRequest{verdict: failed.Why})
	if err != nil {
		return back, err
	}
	return back, problem.New(problem.RolledBack, "`shipper logs --failed` shows what it said last, `shipper history` tells more; the previous release serves all traffic", "rolled back: %s", failed.Why)
}

// stillWarm is how long the old slot stays on the host that stops it first.
func stillWarm(hosts []HostStatus) time.Duration {
	least := hosts[0].Status.WarmFor
	for _, h := range hosts {
		least = min(least, h.Status.WarmFor)
	}
	return max(least, 0)
}

// watcher judges the stable slots of a fleet, as a canary's with all traffic.
type watcher struct {
	p         *Pipeline
	story     *story
	judge     *analysis.Judge
	hard      *analysis.Hard
	usage     *analysis.Resources
	slots     map[string]release.Slot
	questions map[string]question

	mu   sync.Mutex
	told bool // that a host does not tell what its canary uses
}

func (p *Pipeline) newWatcher(now FleetStatus, hosts []HostStatus) (*watcher, error) {
	questions, err := p.questions(now.Stable)
	if err != nil {
		return nil, err
	}
	plan := plan(p.Target, nil)
	var alone []rollout.Signal
	for _, s := range plan.Signals {
		if s.Kind != analysis.Evidence && s.MaxDelta == 0 && s.MaxFactor == 0 {
			alone = append(alone, s)
		}
	}
	w := &watcher{
		p: p, story: newStory(now.Run, p.Now, p.Emit), questions: questions, slots: map[string]release.Slot{},
		hard: analysis.NewHard(), usage: analysis.NewResources(plan.Limits),
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.Host)
		w.slots[h.Host] = h.Status.Stable
	}
	w.judge = analysis.NewJudge(alone, p.Target.Analysis.MinRequests, names)
	w.judge.Begin(p.Now(), release.Full)
	return w, nil
}

// until looks twice a second and gives the verdict by which the release has
// to go, if it has. A host that does not answer is no reason: nothing is known of it.
func (w *watcher) until(ctx context.Context, f fleet, end time.Time) (*journal.Verdict, error) {
	began, why := w.p.Now(), ""
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var asking sync.WaitGroup
	defer asking.Wait()
	for {
		_ = f.each(ctx, func(ctx context.Context, h *host) error {
			if broken := w.lookAt(ctx, h); broken != "" {
				w.mu.Lock()
				why = broken
				w.mu.Unlock()
			}
			return nil
		})
		if why == "" {
			why = w.verdict(ctx, &asking)
		}
		now := w.p.Now()
		if why != "" {
			why = fmt.Sprintf("%s → Failed while the old slot is warm, %s after the watch began", why, now.Sub(began).Round(time.Second))
			v := &journal.Verdict{Outcome: string(analysis.Failed), Why: why, Step: "watch", Elapsed: now.Sub(began).Seconds()}
			w.story.tell(journal.TypeVerdict, "", v)
			return v, nil
		}
		if !now.Before(end) {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// lookAt takes one host's counters, and what its hard rules say.
func (w *watcher) lookAt(ctx context.Context, h *host) string {
	ctx, cancel := context.WithTimeout(ctx, 4*watchEvery)
	defer cancel()
	var c rpc.Counters
	err := h.call(ctx, 0, func(cl *rpc.Client) (err error) {
		c, err = cl.Counters(ctx, rpc.ServiceRef{Service: w.p.Target.Service.Name, Usage: w.p.Target.Analysis.Limits != (config.UsageLimits{})})
		return err
	})
	if err != nil {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	slot := w.slots[h.Name]
	live := c.Live[slot]
	look := analysis.Look{
		Epoch: c.Epoch, Canary: counts(c.Slots[slot], false), Stable: counts(c.Slots[slot.Other()], false),
		Live: analysis.Instance{State: live.State, PID: live.PID, Started: live.Started, Exit: live.Exit},
	}
	now := w.p.Now()
	w.judge.Observe(now, h.Name, look)
	why, broken := w.hard.Observe(h.Name, look)
	if !broken {
		why, broken = w.usage.Observe(now, h.Name, (*analysis.Usage)(c.Usage[slot]))
	}
	if !broken {
		return ""
	}
	return why
}

// verdict asks what is due and says what the signals say.
func (w *watcher) verdict(ctx context.Context, asking *sync.WaitGroup) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.p.Now()
	for _, q := range w.judge.Ask(now) {
		asking.Go(func() {
			v, err := w.measure(ctx, q.Signal)
			w.mu.Lock()
			defer w.mu.Unlock()
			w.judge.Answer(q, v, err)
		})
	}
	if untold := w.usage.Untold(now); untold != "" && !w.told {
		w.told = true
		w.story.note(journal.TypeWarning, "", untold)
	}
	v := w.judge.Verdict(now)
	for _, m := range v.Measured {
		w.story.tell(journal.TypeMeasurement, "", journal.Measurement{
			Signal: m.Signal, Canary: arm(m.Canary), Stable: arm(m.Stable), Outcome: string(m.Outcome), Why: m.Why,
		})
	}
	if v.Outcome != analysis.Failed {
		return ""
	}
	return v.Why
}

func (w *watcher) measure(ctx context.Context, signal string) (analysis.Value, error) {
	words := map[string]string{}
	for _, slot := range w.slots {
		if seen := words[".Slot"]; seen != "" && seen != string(slot) {
			words = nil
			break
		}
		words[".Slot"], words[".StableSlot"] = string(slot), string(slot.Other())
	}
	from, err := w.questions[signal](words)
	if err != nil {
		return analysis.Value{}, err
	}
	return from.Measure(ctx)
}
