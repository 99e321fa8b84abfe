package pipeline

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

const (
	tickEvery  = 250 * time.Millisecond
	watchEvery = 500 * time.Millisecond
	// graceAfterSignal is how long an interrupted run may still undo; what is
	// left then, the hosts do by their leases. A second of the command line's
	// own grace remains to tell how it ended.
	graceAfterSignal = 4 * time.Second
)

// task is what the driver does on a host: the parts of a run that differ
// between a deploy and a rollback.
type task struct {
	start     func(h *host) (rpc.Start, error)
	rejects   func(h *host) bool // commit marks the revision that was stable as bad; nil: never
	missing   []string           // hosts that the run goes on without
	questions map[string]question

	hooks        string          // verb that hooks of hosts hear of; empty: they are not asked
	release      release.Release // that they hear of
	change       string          // that allows it outside of the change windows
	irreversible bool            // there is no way back behind what is committed
}

// driver executes the engine's commands and feeds it events. One goroutine
// (drive) owns the engine; everything else reports through events.
type driver struct {
	p      *Pipeline
	f      fleet
	run    string
	task   task
	story  *story
	engine *rollout.Engine
	events chan rollout.Event
	watch  map[string]context.CancelFunc
	hosts  map[string]*worker
	work   sync.WaitGroup
	end    rollout.Command // Finish, once it came
	early  []rollout.Asked // what others asked for before the engine began
	ask    string          // asked of the engine once the first step began: promote of a parked run

	entered bool // some step began
	looks   looks
	telling chan struct{} // slots for hooks of hosts

	mu        sync.Mutex
	slots     map[string]rpc.Started
	committed bool             // on some host
	fault     map[string]error // what a host failed with, for kind and hint of the result
	lapsed    map[string]bool  // hosts that went back by themselves when the lease ran out
}

func newDriver(p *Pipeline, f fleet, l *lease, t task, s *story, e *rollout.Engine) *driver {
	return &driver{
		p: p, f: f, run: s.run, task: t, story: s, engine: e,
		events: l.events,
		watch:  map[string]context.CancelFunc{}, hosts: map[string]*worker{},
		slots: map[string]rpc.Started{}, looks: newLooks(), telling: make(chan struct{}, maxTelling), fault: map[string]error{}, lapsed: map[string]bool{},
	}
}

// drive runs the engine to its end. When ctx ends it asks the engine to stop
// and gives it the grace of a signal.
func (d *driver) drive(ctx context.Context) rollout.Command {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() { cancel(context.Canceled); d.work.Wait() }()
	d.startWorkers(work)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	asked, grace := ctx.Done(), (<-chan time.Time)(nil)
	d.step(work, rollout.Begin{})
	for _, ask := range d.early {
		d.step(work, ask)
	}
	for d.end.Verb != rollout.Finish {
		select {
		case ev := <-d.events:
			d.hear(work, ev)
		case <-tick.C:
			d.step(work, rollout.Tick{})
		case <-asked:
			asked = nil
			timer := time.NewTimer(cmp.Or(d.p.Grace, graceAfterSignal))
			defer timer.Stop()
			grace = timer.C
			d.step(work, rollout.Interrupted{Why: context.Cause(ctx).Error()})
		case <-grace:
			return d.outOfTime()
		}
	}
	return d.end
}

// outOfTime ends a run that an interruption leaves no time for.
func (d *driver) outOfTime() rollout.Command {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.committed {
		return rollout.Command{Verb: rollout.Finish, State: rollout.Split, Why: "interrupted inside the commit round"}
	}
	return rollout.Command{Verb: rollout.Finish, State: rollout.Aborted, Why: "interrupted; what is left the hosts take back by their leases"}
}

func (d *driver) hear(ctx context.Context, ev rollout.Event) {
	switch ev := ev.(type) {
	case rollout.Asked:
		d.story.tell(journal.TypeRequest, "", journal.Request{Kind: ev.Kind, By: ev.By})
	case rollout.Counted:
		d.look(ev)
	case rollout.HostLost:
		d.remember(ev.Host, ev.Err)
		d.story.note(journal.TypeWarning, ev.Host, "host lost: "+ev.Err.Error())
	}
	d.step(ctx, ev)
}

// step feeds one event and sets the commands going.
func (d *driver) step(ctx context.Context, ev rollout.Event) {
	for _, c := range d.engine.Step(d.p.Now(), ev) {
		switch c.Verb {
		case rollout.Finish:
			d.end = c
		case rollout.Note:
			d.tellNote(c.Note)
		case rollout.Watch:
			d.startWatch(ctx, c.Host)
		case rollout.Unwatch:
			d.stopWatch(c.Host)
		case rollout.Measure:
			d.work.Go(func() { d.measure(ctx, c) })
		case rollout.Permit:
			d.work.Go(func() { d.sender(ctx)(rollout.Done{Command: c, Err: d.permit(ctx, c)}) })
		case rollout.Wake: // ticks come often enough
		default:
			d.hosts[c.Host].add(ctx, c)
		}
	}
	if d.ask != "" && d.entered {
		asked := rollout.Asked{Kind: d.ask, By: d.p.Owner}
		d.ask = ""
		d.step(ctx, asked)
	}
}

func (d *driver) startWorkers(ctx context.Context) {
	for _, h := range d.f {
		w := newWorker()
		d.hosts[h.Name] = w
		d.work.Go(func() {
			w.run(ctx, func(cctx context.Context, c rollout.Command) {
				err := d.execute(cctx, c)
				if cctx.Err() == nil { // what was cancelled says nothing about the host
					d.remember(c.Host, err)
				}
				d.sender(ctx)(rollout.Done{Command: c, Err: err})
			})
		})
	}
}

// sender posts events until the run is over.
func (d *driver) sender(ctx context.Context) func(rollout.Event) {
	return func(ev rollout.Event) {
		select {
		case d.events <- ev:
		case <-ctx.Done():
		}
	}
}

func (d *driver) remember(host string, err error) {
	if err == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fault[host] == nil {
		d.fault[host] = err
	}
}

func (d *driver) lapse(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lapsed[host] = true
}

// problem is the first failure that a host reported, with its kind and hint.
func (d *driver) problem() *problem.Error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, h := range d.f {
		var p *problem.Error
		if err := d.fault[h.Name]; err != nil && errors.As(remoteProblem(err, h.Name), &p) {
			return p
		}
	}
	return nil
}

// refusedEverywhere reports whether every host has refused this controller or
// went back without it, and none has committed: it was away for longer than
// its lease.
func (d *driver) refusedEverywhere() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.committed {
		return false
	}
	for _, h := range d.f {
		var r *rpc.Error
		if d.lapsed[h.Name] {
			continue
		}
		if !errors.As(d.fault[h.Name], &r) || (r.Code != rpc.CodeFenced && r.Code != rpc.CodeLocked) {
			return false
		}
	}
	return true
}

func (d *driver) tellNote(note any) {
	switch n := note.(type) {
	case rollout.StepNote:
		d.keepLooks()
		d.entered = true
		d.story.tell(journal.TypeStep, "", journal.StepBegan{Batch: n.Batch, Batches: n.Batches, Step: n.Step, Steps: n.Steps, What: n.What, Hosts: n.Hosts})
	case rollout.MeasurementNote:
		d.story.tell(journal.TypeMeasurement, "", journal.Measurement{
			Signal: n.Signal, Canary: arm(n.Canary), Stable: arm(n.Stable), Outcome: string(n.Outcome), Why: n.Why,
		})
	case rollout.VerdictNote:
		d.keepLooks()
		d.story.tell(journal.TypeVerdict, "", journal.Verdict{
			Outcome: string(n.Outcome), Signal: n.Signal, Why: n.Why, Step: n.Step,
			Elapsed: n.Elapsed.Seconds(), Evidence: n.Evidence,
		})
	case rollout.PauseNote:
		d.story.note(journal.TypePaused, "", n.Why+d.p.previewed())
	case rollout.WarningNote:
		d.story.note(journal.TypeWarning, "", n.Text)
	}
}

func arm(a rollout.Arm) journal.Arm {
	return journal.Arm{
		Requests: a.Requests, Errors: a.Errors, Ratio: a.Ratio,
		P50ms: float64(a.P50.Microseconds()) / 1000, P99ms: float64(a.P99.Microseconds()) / 1000,
	}
}

func (d *driver) startWatch(ctx context.Context, name string) {
	if d.watch[name] != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	d.watch[name] = cancel
	d.work.Go(func() { d.watchHost(ctx, d.f.byName(name)) })
}

func (d *driver) stopWatch(name string) {
	if stop := d.watch[name]; stop != nil {
		stop()
		delete(d.watch, name)
	}
}

// watchHost feeds the host's counters. A look that fails is no data; whether
// the host is lost, the lease decides.
func (d *driver) watchHost(ctx context.Context, h *host) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var c rpc.Counters
		err := h.call(ctx, 0, func(cl *rpc.Client) (err error) {
			look, cancel := context.WithTimeout(ctx, 4*watchEvery)
			defer cancel()
			c, err = cl.Counters(look, rpc.ServiceRef{Service: d.p.Target.Service.Name, Usage: d.p.Target.Analysis.Limits != (config.UsageLimits{})})
			return err
		})
		if err == nil {
			d.sender(ctx)(d.counted(h.Name, c))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *driver) counted(name string, c rpc.Counters) rollout.Counted {
	d.mu.Lock()
	slot := d.slots[name].Slot
	d.mu.Unlock()
	live := c.Live[slot]
	return rollout.Counted{
		Host: name, Epoch: c.Epoch,
		Canary: counts(c.Slots[slot], drawn(c)), Stable: counts(c.Slots[slot.Other()], drawn(c)),
		Live:  rollout.Instance{State: live.State, PID: live.PID, Started: live.Started, Exit: live.Exit},
		Usage: (*rollout.Usage)(c.Usage[slot]),
	}
}

func counts(c rpc.SlotCounters, drawn bool) rollout.Counts {
	return rollout.Counts{
		Requests: c.Requests - c.Canceled, Errors: c.Errors(), Latency: c.Latency,
		Drawn: drawn, Units: c.Units.All, UnitErrors: c.Units.Errors, Share: c.Units.Share, Out: c.Out,
	}
}

// drawn reports whether the host's router counts its draws; older ones do not.
func drawn(c rpc.Counters) bool {
	for _, s := range c.Slots {
		if s.Units.All > 0 {
			return true
		}
	}
	return false
}

func (d *driver) slotStarted(name string) rpc.Started {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slots[name]
}

// slot is where the run's revision runs on a host.
func (d *driver) slot(name string) release.Slot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slots[name].Slot
}
