package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/rollout"
)

const (
	// undoPatience is how long the way back is tried over a broken wire; then
	// the host does it by itself.
	undoPatience = 10 * time.Second
	// checkSlack is what a check's call may take beyond the check itself.
	checkSlack = 10 * time.Second
)

// execute does one command on its host and tells what came of it.
func (d *driver) execute(ctx context.Context, c rollout.Command) error {
	h := d.f.byName(c.Host)
	switch c.Verb {
	case rollout.Start:
		if err := d.hook(ctx, "beforeStart", h, ""); err != nil {
			return err
		}
		return d.start(ctx, h)
	case rollout.Smoke:
		if err := d.smoke(ctx, h); err != nil {
			return err
		}
		return d.hook(ctx, "afterStart", h, "")
	case rollout.Shift:
		return d.shifts(ctx, h, c)
	case rollout.Prepare:
		if err := d.hook(ctx, "beforePromote", h, ""); err != nil {
			return err
		}
		return d.prepare(ctx, h)
	case rollout.Commit:
		return d.commit(ctx, h, c)
	case rollout.Undo:
		return d.undo(ctx, h, c)
	case rollout.Park:
		h.park()
		return h.call(ctx, undoPatience, func(cl *rpc.Client) error {
			return cl.Park(ctx, rpc.Park{Fenced: h.fenced(d.run), Why: c.Why, For: d.p.Target.Rollout.ParkFor, Freeze: c.Freeze})
		})
	}
	return fmt.Errorf("command %q is unknown", c.Verb)
}

func (d *driver) patience() time.Duration { return d.p.Target.Rollback.Lease }

func (d *driver) start(ctx context.Context, h *host) error {
	req, err := d.task.start(h)
	if err != nil {
		return err
	}
	req.Fenced = h.fenced(d.run)
	var got rpc.Started
	alone := d.p.alone(&req)
	err = h.call(ctx, d.patience(), func(c *rpc.Client) (err error) {
		if alone {
			got, err = c.Replace(ctx, req)
		} else {
			got, err = c.Start(ctx, req)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	d.mu.Lock()
	d.slots[h.Name] = got
	d.mu.Unlock()
	revision := cmp.Or(got.Revision, req.Kept)
	if revision == "" {
		revision = req.Revision.ID()
	}
	d.story.tell(journal.TypeStarted, h.Name, journal.SlotStarted{
		Slot: got.Slot, Release: req.Revision.Release, Revision: revision, PID: got.PID, Port: got.Port,
	})
	return nil
}

// alone tells whether stable is to be stopped first, and for how long requests
// wait then: what is not there by that time goes back.
func (p *Pipeline) alone(req *rpc.Start) bool {
	r := p.Target.Rollout
	if r.Strategy != rollout.Recreate {
		return false
	}
	if req.Hold = r.Hold; r.Hold > 0 && p.Target.Traffic.Router != "none" {
		req.Timeout = min(req.Timeout, r.Hold)
	}
	return true
}

// smoke runs all checks in order; the first that fails ends it.
func (d *driver) smoke(ctx context.Context, h *host) error {
	for _, check := range d.p.Target.Checks {
		var got rpc.CheckReply
		limited, cancel := context.WithTimeout(ctx, check.Deadline+checkSlack)
		err := h.call(limited, d.patience(), func(c *rpc.Client) (err error) {
			got, err = c.Check(limited, d.check(h, check))
			return err
		})
		cancel()
		if err != nil {
			got = rpc.CheckReply{Detail: err.Error()}
		}
		name := checkName(check)
		d.story.tell(journal.TypeSmoke, h.Name, journal.Smoke{Check: name, OK: got.OK, Detail: got.Detail})
		if !got.OK {
			return fmt.Errorf("smoke check %s: %s", name, got.Detail)
		}
	}
	return nil
}

func (d *driver) check(h *host, c config.Check) rpc.Check {
	out := checkOf(c)
	out.Fenced = h.fenced(d.run)
	return out
}

func checkOf(c config.Check) rpc.Check {
	return rpc.Check{HTTP: c.HTTP, TCP: c.TCP, Timeout: c.Timeout, Interval: c.Interval, Successes: c.Successes, Deadline: c.Deadline}
}

func checkName(c config.Check) string {
	if c.HTTP != "" {
		return "http " + c.HTTP
	}
	return "tcp"
}

// shifts is shift, between the hooks of its stages.
func (d *driver) shifts(ctx context.Context, h *host, c rollout.Command) error {
	if c.Weight == 0 {
		return d.shift(ctx, h, c)
	}
	if err := d.hook(ctx, "beforeShift", h, c.Weight.String()); err != nil {
		return err
	}
	if err := d.shift(ctx, h, c); err != nil {
		return err
	}
	return d.hook(ctx, "afterShift", h, c.Weight.String())
}

// shift sets the weight and believes only what the router reads back.
func (d *driver) shift(ctx context.Context, h *host, cmd rollout.Command) error {
	var got rpc.Traffic
	err := h.call(ctx, d.patience(), func(c *rpc.Client) (err error) {
		got, err = c.SetTraffic(ctx, rpc.SetTraffic{Fenced: h.fenced(d.run), Weight: cmd.Weight})
		return err
	})
	if err != nil {
		return fmt.Errorf("set weight %s: %w", cmd.Weight, err)
	}
	slot := d.slot(h.Name)
	if d.p.Target.Traffic.Router != "none" && got.Weights[slot] != cmd.Weight {
		return fmt.Errorf("set weight %s: the router reads back %s", cmd.Weight, got.Weights[slot])
	}
	d.story.tell(journal.TypeWeight, h.Name, journal.WeightSet{Weight: cmd.Weight, Slot: slot})
	return nil
}

func (d *driver) prepare(ctx context.Context, h *host) error {
	err := h.call(ctx, d.patience(), func(c *rpc.Client) error { return c.Prepare(ctx, h.fenced(d.run)) })
	if err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	d.story.note(journal.TypePrepared, h.Name, "ready to commit")
	return nil
}

func (d *driver) commit(ctx context.Context, h *host, cmd rollout.Command) error {
	var got rpc.Committed
	err := h.call(ctx, d.patience(), func(c *rpc.Client) (err error) {
		got, err = c.Commit(ctx, rpc.Commit{
			Fenced: h.fenced(d.run), KeepWarm: d.p.Target.Rollout.KeepWarm,
			Retain: d.p.Target.Retention.Releases, Rejected: d.task.rejects != nil && d.task.rejects(h), Behind: d.behind(cmd), Irreversible: d.task.irreversible,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	d.mu.Lock()
	d.committed = true
	d.mu.Unlock()
	d.story.tell(journal.TypeCommitted, h.Name, journal.Committed{Slot: got.Slot, Release: got.Release, Revision: got.Revision})
	return nil
}

func (d *driver) undo(ctx context.Context, h *host, cmd rollout.Command) error {
	var got rpc.Undone
	err := h.call(ctx, undoPatience, func(c *rpc.Client) (err error) {
		got, err = c.Undo(ctx, rpc.Undo{Fenced: h.fenced(d.run), State: string(cmd.State), Why: cmd.Why})
		return err
	})
	if err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	by := "controller"
	if got.Before == string(rollout.Lost) {
		by = "guard"
		d.lapse(h.Name)
	}
	d.story.tell(journal.TypeUndone, h.Name, journal.Undone{By: by, Why: cmd.Why, Release: got.Release, Millis: got.Millis, Autopsy: got.Autopsy})
	return nil
}
