package host

import (
	"context"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

// Bounds of a session.
const (
	minTTL  = time.Second
	maxTTL  = 10 * time.Minute
	maxAsks = 32
)

// expired reports whether the lease ran out.
func (s *service) expired() bool {
	return s.ses != nil && !s.deadline.IsZero() && !s.g.now().Before(s.deadline)
}

// holds checks that the caller is the one whom the session belongs to.
func (s *service) holds(f rpc.Fenced) error {
	if s.broken != nil {
		return s.broken
	}
	switch {
	case s.ses == nil:
		return rpc.Errorf(rpc.CodeFenced, "see shipper status", "run %s holds no session of %s on this host%s", f.Run, s.name, s.ending(f.Run))
	case f.Fence < s.ses.Fence:
		return s.refuse(rpc.CodeFenced, "run %s was overtaken: its fence is %d, the session's %d", f.Run, f.Fence, s.ses.Fence)
	case f.Run != s.ses.Run || f.Fence != s.ses.Fence:
		return s.refuse(rpc.CodeLocked, "run %s of %s holds the session", s.ses.Run, s.ses.Owner)
	case s.undoing || s.expired():
		return s.refuse(rpc.CodeFenced, "the lease of run %s ran out", f.Run)
	}
	return nil
}

// ending says how a run ended here, as far as it is known.
func (s *service) ending(run string) string {
	if r := s.st.Run; r != nil && r.ID == run && r.Why != "" {
		return ": it ended as " + r.State + " (" + r.Why + ")"
	}
	return ""
}

func (s *service) refuse(code, format string, args ...any) error {
	err := rpc.Errorf(code, "", format, args...)
	view := s.session()
	err.Session = &view
	return err
}

// session is the session as others see it.
func (s *service) session() rpc.Session {
	view := s.ses.Session
	if !s.deadline.IsZero() {
		view.Remaining = max(0, s.deadline.Sub(s.g.now()))
	}
	return view
}

// acquire gives the session to p's run, or says who has it. When the host is
// busy going back to stable, or a lease just ran out, wait is that work.
func (s *service) acquire(p rpc.Acquire) (view rpc.Session, wait *task, err error) {
	switch {
	case s.broken != nil:
		return view, nil, s.broken
	case s.st.Environment != "" && s.st.Environment != p.Environment:
		return view, nil, rpc.Errorf(rpc.CodeConflict, "choose another service name for one of them",
			"service %s belongs to environment %q on this host", s.name, s.st.Environment)
	case s.undoing || s.expired():
		s.tick()
		return view, s.task, nil
	case s.ses != nil && s.ses.Run == p.Run && s.ses.Owner == p.Owner && !s.thaws(p):
		err := s.extend(p.TTL)
		return s.session(), nil, err
	case s.st.Frozen != "":
		return view, nil, rpc.Errorf(rpc.CodeConflict, "thaw it on the host: shipper-host thaw "+s.name,
			"service %s is frozen: %s", s.name, s.st.Frozen)
	case s.ses != nil && !s.thaws(p):
		return view, nil, s.refuse(rpc.CodeLocked, "%s holds the lock of %s since %s (%s, run %s)",
			s.ses.Owner, s.name, s.ses.Since.UTC().Format(time.RFC3339), s.ses.Verb, s.ses.Run)
	}
	if err := s.open(p); err != nil {
		return view, nil, err
	}
	return s.session(), nil, nil
}

// open begins a session. The fence is on the disk before anybody hears of it.
func (s *service) open(p rpc.Acquire) error {
	now := s.g.now()
	err := s.change(func(st *state) {
		st.Fence++
		st.Service, st.Environment = s.name, p.Environment
		st.Run = nextRun(st.Run, p, now)
	})
	if err != nil {
		return err
	}
	s.ses = &sessionRecord{Session: rpc.Session{
		Service: s.name, Environment: p.Environment, Run: p.Run, Verb: p.Verb, Fence: s.st.Fence,
		Owner: p.Owner, Address: p.Address, Since: now, Message: p.Message, Manual: p.Manual,
		Account: p.Account, Client: p.Client,
	}}
	if err := s.extend(p.TTL); err != nil {
		s.ses, s.deadline = nil, time.Time{}
		return err
	}
	return nil
}

// nextRun is the run's record when p's session begins. A parked run is taken
// on, or stays until the new one starts a slot, or until a rollback ends; a
// lost or split one is taken on under its own name.
func nextRun(last *runRecord, p rpc.Acquire, now time.Time) *runRecord {
	takesOn := takesOn(p.Verb)
	switch {
	case p.Verb == "lock" || p.Verb == freezeVerb || p.Verb == "prune" || p.Verb == "remove" || p.Verb == "check":
		return last
	case last.parked() && takesOn:
		again := *last
		again.ID, again.State, again.Phase, again.Until, again.Why = p.Run, runRunning, phaseStarted, time.Time{}, ""
		return &again
	case last.parked():
		return last
	case takesOn && last != nil && last.ID == p.Run && last.Phase == phaseCommitted:
		return last
	}
	run := newRun(p.Run, p.Verb, now)
	if takesOn && last != nil && last.ID == p.Run {
		run.Verb, run.Since = last.Verb, last.Since
		run.Release, run.Revision = last.Release, last.Revision
	}
	return run
}

func newRun(id, verb string, now time.Time) *runRecord {
	return &runRecord{RunStatus: rpc.RunStatus{ID: id, Verb: verb, State: runRunning, Phase: phaseLocked, Since: now}}
}

// extend sets the lease to a full TTL from now on.
func (s *service) extend(ttl time.Duration) error {
	if ttl > 0 {
		s.ses.TTL = min(max(ttl, minTTL), maxTTL)
	}
	s.ses.Machine, s.ses.Boot = s.g.machine, s.g.boot
	if s.ses.Manual {
		s.deadline, s.ses.Expires = time.Time{}, time.Time{}
		return s.sessionFile.save(*s.ses)
	}
	if s.ses.TTL == 0 {
		s.ses.TTL = 30 * time.Second
	}
	deadline := s.g.now().Add(s.ses.TTL)
	s.ses.Expires = deadline.Round(0)
	if err := s.sessionFile.save(*s.ses); err != nil {
		return err
	}
	s.deadline = deadline
	return nil
}

// renew extends the lease and the router's, and hands over what others asked.
func (s *service) renew(p rpc.Fenced) (rpc.Renewed, error) {
	if err := s.holds(p); err != nil {
		return rpc.Renewed{}, err
	}
	var rest []rpc.Ask
	for _, a := range s.ses.Asks {
		if a.Seq > p.Seen {
			rest = append(rest, a)
		}
	}
	s.ses.Asks = rest
	if err := s.extend(0); err != nil {
		return rpc.Renewed{}, err
	}
	s.extendRoute()
	return rpc.Renewed{Session: s.session(), Requests: rest}, nil
}

// extendRoute renews the router's lease beside the loop: a router that does
// not answer must not keep a controller from renewing.
func (s *service) extendRoute() {
	if s.renewing || s.holdLeft() == 0 && (!s.st.Run.live() || s.st.Run.Weight == 0) {
		return
	}
	s.renewing = true
	s.g.busy.Go(func() {
		ctx, cancel := context.WithTimeout(s.g.ctx, 5*time.Second)
		defer cancel()
		if _, err := s.apply(ctx); err != nil {
			s.log.Warn("the router's lease was not extended", "error", err)
		}
		s.tell(func() { s.renewing = false })
	})
}

// ask stores a request for the run that holds the session.
func (s *service) ask(p rpc.Ask) error {
	switch p.Kind {
	case "pause", "resume", "promote", "promote-full", "abort":
	default:
		return rpc.Errorf(rpc.CodeFailed, "", "unknown request %q", p.Kind)
	}
	switch {
	case s.broken != nil:
		return s.broken
	case s.ses == nil || s.ses.Manual:
		return rpc.Errorf(rpc.CodeNotFound, "see shipper status", "no run of %s is alive on this host", s.name)
	case len(s.ses.Asks) >= maxAsks:
		return rpc.Errorf(rpc.CodeConflict, "", "%d requests wait for run %s already", maxAsks, s.ses.Run)
	}
	s.ses.AskSeq++
	p.Seq = s.ses.AskSeq
	s.ses.Asks = append(s.ses.Asks, p)
	return s.sessionFile.save(*s.ses)
}

// free ends the session; the run's record stays. A lease that ran out while
// the session was being ended has nothing left to undo.
func (s *service) free() error {
	s.ses, s.deadline, s.undoing = nil, time.Time{}, false
	return s.sessionFile.remove()
}

// release ends a session and its run. A run that still has a canary is undone
// first: no lease would watch over it any more.
func (s *service) release(ctx context.Context, p rpc.Ended) error {
	var revert, done bool
	err := s.do(ctx, func() error {
		if r := s.st.Run; s.ses == nil && s.broken == nil && (r == nil || r.ID != p.Run || r.State != runRunning) {
			done = true
			return nil
		}
		if err := s.holds(p.Fenced); err != nil {
			return err
		}
		revert = s.st.Run.live() && s.st.Run.started() || s.st.Run.parked() && s.ses.Verb == "rollback"
		return nil
	})
	if err != nil || done {
		return err
	}
	if revert {
		if p.State == runPromoted || p.State == "" {
			p.State = runFailed // it was not committed here
		}
		if _, err := s.undo(ctx, rpc.Undo{Fenced: p.Fenced, State: p.State, Why: p.Why}); err != nil {
			return err
		}
	}
	if err := s.letThrough(ctx, p.Fenced); err != nil {
		return err
	}
	return s.do(ctx, func() error {
		if err := s.holds(p.Fenced); err != nil {
			return err
		}
		if err := s.close(p); err != nil {
			return err
		}
		if p.Freeze != "" {
			return s.freezeRun(p.Freeze)
		}
		return s.free()
	})
}

// freezeVerb is that of a lock which a run left behind when it failed.
const freezeVerb = "freeze"

// freezeRun makes of a run's session a lock without an end.
func (s *service) freezeRun(why string) error {
	s.ses.Verb, s.ses.Message, s.ses.Manual = freezeVerb, why, true
	return s.extend(0)
}

// thaws reports whether p may take the place of the freeze that a failed run
// left: by going on with that run, or by a way back.
func (s *service) thaws(p rpc.Acquire) bool {
	if s.ses == nil || !s.ses.Manual || s.ses.Verb != freezeVerb {
		return false
	}
	return p.Verb == "rollback" || takesOn(p.Verb) && p.Run == s.ses.Run
}

func takesOn(verb string) bool {
	return verb == "promote" || verb == "promote-full" || verb == "resume"
}

// close records how the session's run ended, where its end is not known yet,
// and on which hosts it did not.
func (s *service) close(p rpc.Ended) error {
	r := s.st.Run
	if r == nil || r.ID != s.ses.Run || p.State == "" || r.parked() {
		return nil
	}
	known := !r.Ended.IsZero() && (r.State == p.State || r.Phase == phaseUndone && p.State == runPromoted)
	if known && len(p.Behind) == 0 {
		return nil
	}
	return s.change(func(st *state) {
		run := *st.Run
		if len(p.Behind) > 0 {
			run.Behind = p.Behind
		}
		if !known {
			run.close(p, s.g.now())
		}
		st.Run = &run
	})
}

func (r *runRecord) close(p rpc.Ended, now time.Time) {
	r.Ended, r.State = now, p.State
	if r.Phase == phaseCommitted && p.State != runRolledBack {
		r.State = runPromoted // what is committed stays, whatever the fleet says
	}
	if p.Why != "" {
		r.Why = p.Why
	}
}
