package host

import (
	"context"
	"errors"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// How often a starting instance is looked at, and how long it gets by default.
const (
	startPoll    = 100 * time.Millisecond
	startTimeout = time.Minute
)

// start puts a revision into the idle slot and starts it.
func (s *service) start(ctx context.Context, p rpc.Start) (rpc.Started, error) {
	return s.starts(ctx, p, false)
}

func (s *service) starts(ctx context.Context, p rpc.Start, alone bool) (rpc.Started, error) {
	var reply rpc.Started
	if err := checkTraffic(p.Traffic, p.Ports); err != nil {
		return reply, err
	}
	admit := func() error { return s.mayStart(p.Fenced) }
	err := s.work(ctx, order{name: "start", admit: admit}, func(ctx context.Context) error {
		rev, err := s.wanted(ctx, p)
		if err != nil {
			return err
		}
		reply, err = s.launch(ctx, p, rev, alone)
		return err
	})
	if err != nil { // of a caller that left: the work goes on, and reply is the work's
		return rpc.Started{}, err
	}
	return reply, nil
}

// mayStart: a run starts one revision, before it is prepared or over.
func (s *service) mayStart(f rpc.Fenced) error {
	if err := s.holds(f); err != nil {
		return err
	}
	r := s.st.Run
	if r.parked() || r.live() && r.ID == f.Run {
		return nil
	}
	return rpc.Errorf(rpc.CodeConflict, "begin a new run", "run %s cannot start anything here%s", f.Run, s.ending(f.Run))
}

func (s *service) wanted(ctx context.Context, p rpc.Start) (release.Revision, error) {
	if p.Kept != "" {
		return s.keptWith(p)
	}
	if err := s.checkRevision(p.Revision); err != nil {
		return p.Revision, err
	}
	if err := s.vouched(ctx, p.Revision); err != nil {
		return p.Revision, err
	}
	return p.Revision, s.keep(p.Revision, p.Secrets)
}

// keepFor keeps the revision of a run that may be parked before it starts here.
func (s *service) keepFor(ctx context.Context, p rpc.Start) error {
	admit := func() error { return s.mayStart(p.Fenced) }
	return s.work(ctx, order{name: "keep", admit: admit}, func(ctx context.Context) error {
		rev, err := s.wanted(ctx, p)
		if err != nil {
			return err
		}
		return s.do(ctx, func() error {
			if r := s.st.Run; r.ID != p.Run || !r.live() || r.started() {
				return nil
			}
			return s.change(func(st *state) { st.Run.Release, st.Run.Revision = rev.Release, rev.ID() })
		})
	})
}

func checkTraffic(t rpc.TrafficConfig, p rpc.Ports) error {
	for _, port := range []int{p.Blue, p.Green} {
		if port < 1 || port > 65535 {
			return rpc.Errorf(rpc.CodeFailed, "", "port %d of a slot is none", port)
		}
	}
	if p.Blue == p.Green {
		return rpc.Errorf(rpc.CodeFailed, "", "both slots have port %d", p.Blue)
	}
	if t.Router != "embedded" && t.Router != "none" {
		return rpc.Errorf(rpc.CodeUnsupported, "", "unknown router %q", t.Router)
	}
	return nil
}

// launch does the work of start; as the service's task.
func (s *service) launch(ctx context.Context, p rpc.Start, rev release.Revision, alone bool) (rpc.Started, error) {
	var reply rpc.Started
	var rec slotRecord
	var again bool
	err := s.do(ctx, func() error {
		reply.First = s.st.Stable == ""
		reply.Slot, reply.Revision = s.st.Stable.Other(), rev.ID()
		reply.Port = slotPort(p.Ports, reply.Slot)
		rec = s.st.Slots[reply.Slot]
		again = s.st.Run.ID == p.Run && s.st.Run.running() // asked again
		return nil
	})
	if err != nil {
		return reply, err
	}
	same := rec.Revision == rev.ID() && rec.Port == reply.Port
	if status, ok, err := s.alive(ctx, reply.Slot, reply.Port); err == nil && ok && same && (again || !alone && s.untouched(ctx, rec, reply.Slot)) {
		reply.PID, reply.Already = status.PID, true
	} else if err := s.replace(ctx, p, rev, &reply, alone); err != nil {
		return reply, err
	}
	return reply, s.started(ctx, p, rev, reply)
}

// replace stops what the idle slot holds and starts rev there. Whatever
// fails, nothing of rev is left running.
func (s *service) replace(ctx context.Context, p rpc.Start, rev release.Revision, reply *rpc.Started, alone bool) error {
	if err := s.g.store.Verify(ctx, s.name, rev.Release); err != nil {
		return err
	}
	if err := s.do(ctx, func() error { return s.claim(p, rev, *reply, alone) }); err != nil {
		return err
	}
	if err := s.clear(ctx, reply.Slot); err != nil {
		return err
	}
	if err := s.equip(ctx, rev, reply.Slot, reply.Port); err != nil {
		return err
	}
	if alone {
		if err := s.makeRoom(ctx, p); err != nil {
			return err
		}
	}
	pid, err := s.startSlot(ctx, reply.Slot, reply.Port, p.Timeout)
	if err != nil {
		stop := context.WithoutCancel(ctx)
		return errors.Join(err, s.halt(stop, reply.Slot))
	}
	reply.PID = pid
	return nil
}

// claim records that the slot is being changed, before it is.
func (s *service) claim(p rpc.Start, rev release.Revision, at rpc.Started, alone bool) error {
	if err := s.holds(p.Fenced); err != nil {
		return err
	}
	if r := s.st.Run; r.ID == p.Run && r.Weight > 0 {
		return rpc.Errorf(rpc.CodeConflict, "undo the run", "slot %s gets %s of the traffic and cannot be changed now", r.Slot, r.Weight)
	}
	s.endParked(p.Run)
	return s.change(func(st *state) {
		if st.Run.ID != p.Run {
			st.Run = newRun(p.Run, s.ses.Verb, s.g.now())
		}
		st.Run.Phase, st.Run.Slot, st.Run.Warm = phaseStarting, at.Slot, false
		st.Run.Release, st.Run.Revision = rev.Release, rev.ID()
		st.Run.Ports, st.Run.Traffic = p.Ports, p.Traffic
		st.Run.Alone, st.Run.Hold = alone, p.Hold
		if st.Slots == nil {
			st.Slots = map[release.Slot]slotRecord{}
		}
		st.Slots[at.Slot] = slotRecord{Release: rev.Release, Revision: rev.ID(), Port: at.Port}
		st.Warm = time.Time{}
	})
}

// endParked tells the journal of a parked run that another one took its slot.
func (s *service) endParked(by string) {
	if r := s.st.Run; r.parked() && r.ID != by {
		s.record(r.ID, journal.TypeUndone, journal.Undone{By: "controller", Why: "run " + by + " began", Release: s.stable().Release})
	}
}

// started records that the slot runs, and tells the router where.
func (s *service) started(ctx context.Context, p rpc.Start, rev release.Revision, at rpc.Started) error {
	err := s.do(ctx, func() error {
		if err := s.holds(p.Fenced); err != nil {
			return err
		}
		if r := s.st.Run; r.ID == p.Run && r.running() && r.Revision == rev.ID() {
			return nil // asked again
		}
		s.endParked(p.Run)
		return s.change(func(st *state) {
			if st.Run.ID != p.Run {
				st.Run = newRun(p.Run, s.ses.Verb, s.g.now())
			}
			st.Run.Phase, st.Run.Slot, st.Run.Weight = phaseStarted, at.Slot, 0
			st.Run.Release, st.Run.Revision = rev.Release, rev.ID()
			st.Run.Ports, st.Run.Traffic = p.Ports, p.Traffic
			st.Run.Warm = at.Already && !st.Warm.IsZero()
		})
	})
	if err != nil {
		return err
	}
	if err := s.needRouter(ctx, p.Traffic); err != nil {
		return err
	}
	_, err = s.apply(ctx)
	return err
}

// startSlot starts the slot's service and waits until its own process
// listens. Starts that fail for a busy machine's reasons are tried again.
func (s *service) startSlot(ctx context.Context, slot release.Slot, port int, timeout time.Duration) (uint32, error) {
	if timeout <= 0 {
		timeout = startTimeout
	}
	until := s.g.now().Add(timeout)
	name := slot.Service(s.name)
	for {
		err := s.g.opts.SCM.Start(ctx, name)
		var failed *scm.StartError
		if err == nil {
			break
		}
		if !errors.As(err, &failed) || !failed.Retry() || !s.g.now().Before(until) {
			return 0, rpc.Errorf(rpc.CodeUnhealthy, "", "start slot %s: %v%s", slot, err, s.lastWords(slot))
		}
		if err := s.g.sleep(ctx, time.Second); err != nil {
			return 0, err
		}
	}
	return s.listening(ctx, slot, port, until, timeout)
}

func (s *service) listening(ctx context.Context, slot release.Slot, port int, until time.Time, timeout time.Duration) (uint32, error) {
	for {
		status, ok, err := s.alive(ctx, slot, port)
		switch {
		case err != nil:
			return 0, err
		case ok:
			return status.PID, nil
		case status.State != scm.Running && status.State != scm.StartPending:
			return 0, rpc.Errorf(rpc.CodeUnhealthy, "run the program with the same configuration, or look into shipper logs",
				"the instance in slot %s ended with exit code %d before it listened on port %d%s", slot, status.Exit, port, s.lastWords(slot))
		case !s.g.now().Before(until):
			return 0, rpc.Errorf(rpc.CodeUnhealthy, "let the program listen on {{.Listen}}, or raise service.startTimeout",
				"the instance in slot %s did not listen on 127.0.0.1:%d within %s%s", slot, port, timeout, s.lastWords(slot))
		}
		if err := s.g.sleep(ctx, startPoll); err != nil {
			return 0, err
		}
	}
}
