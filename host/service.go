package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// errClosing ends what is under way when the guard stops.
var errClosing = errors.New("the guard is stopping")

// errUndoing cancels a run's work because the run is being taken back.
var errUndoing = errors.New("the run is being undone")

// service owns what happens to one service. Its loop is the only goroutine
// that touches the fields below inbox; others send it functions (do). What
// takes time runs as a task beside the loop, one at a time, so that renewals
// and questions are always answered.
type service struct {
	g       *Guard
	name    string
	log     *slog.Logger
	diary   *diary
	routing chan struct{}   // held while the router is being told
	ctx     context.Context // ends with the guard, or when the service is removed
	quit    context.CancelFunc
	inbox   chan func()
	closed  chan struct{}

	stateFile   document[state]
	sessionFile document[sessionRecord]
	broken      error // the state cannot be read: nothing is done, nothing is guessed
	st          state
	ses         *sessionRecord
	deadline    time.Time // of the lease, by the monotonic clock; zero: manual
	task        *task
	undoing     bool // the lease ran out: nothing of the session counts any more
	reverting   bool // the run's slot gets no traffic any more, whatever the record says
	held        holding
	gap         time.Time // until when requests wait for an instance on the way back
	leased      time.Time // until when the router may give weight to a canary
	generation  uint64    // of the route, as last seen
	unclean     bool      // after a boot, until stable's release is verified
	renewing    bool      // the router's lease is being extended
	retry       time.Time // when the next mending may be tried
	stray       time.Time // when a slot that crashed may be back, and nobody stops it
	tries       int
}

// task is work on a service that takes time.
type task struct {
	name   string
	keep   bool // past the point of no return: an undo waits for its end
	cancel context.CancelCauseFunc
	done   chan struct{}
	err    error
}

func newService(g *Guard, name string) *service {
	dir := g.opts.Layout.Service(name)
	ctx, quit := context.WithCancel(g.ctx)
	return &service{
		g: g, name: name, ctx: ctx, quit: quit, log: g.opts.Log.With("service", name),
		diary:       newDiary(filepath.Join(dir, "runs")),
		routing:     make(chan struct{}, 1),
		inbox:       make(chan func()),
		closed:      make(chan struct{}),
		stateFile:   document[state]{path: filepath.Join(dir, "state.json"), wrote: g.wrote, write: g.opts.Write},
		sessionFile: document[sessionRecord]{path: filepath.Join(dir, "session.json"), wrote: g.wrote, write: g.opts.Write},
	}
}

// load reads both files and reports whether there is anything of the service.
// What cannot be read is left alone.
func (s *service) load() bool {
	st, note, err := s.stateFile.load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case errors.Is(err, errNewer):
		s.broken = rpc.Errorf(rpc.CodeProtocol, "upgrade shipper", "%v", err)
		return true
	case err != nil:
		s.broken = rpc.Errorf(rpc.CodeFailed, "restore the file, or remove the service's folder and deploy again", "%v", err)
		return true
	}
	s.st = st
	if note != "" {
		s.st.note(note)
	}
	ses, note, err := s.sessionFile.load()
	switch {
	case err == nil && note == "":
		s.ses = &ses
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		// An old session may name a fence that was given again: no lease is honoured.
		s.st.note("the session could not be read, its lease is not honoured")
	}
	return true
}

// run is the owner's loop.
func (s *service) run() {
	defer close(s.closed)
	for {
		var due <-chan time.Time
		if at, ok := s.next(); ok {
			due = s.g.opts.Clock.At(at)
		}
		select {
		case f := <-s.inbox:
			f()
		case <-due:
			s.tick()
		case <-s.ctx.Done():
			return
		}
	}
}

// do runs f on the owner's goroutine and returns its error.
func (s *service) do(ctx context.Context, f func() error) error {
	result := make(chan error, 1)
	select {
	case s.inbox <- func() { result <- f() }:
		return <-result
	case <-s.closed:
		return errClosing
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tell is do for what cannot fail and must happen.
func (s *service) tell(f func()) {
	done := make(chan struct{})
	select {
	case s.inbox <- func() { f(); close(done) }:
		<-done
	case <-s.closed:
	}
}

// order says how a piece of work stands to others.
type order struct {
	name  string
	admit func() error // on the owner, before it begins and after each wait
	keep  bool
	// urgent work cancels what is under way instead of waiting for it.
	urgent bool
}

// work runs f as the service's task, when the one before has ended. It goes
// on when the caller leaves: a caller that comes back asks again.
func (s *service) work(ctx context.Context, o order, f func(ctx context.Context) error) error {
	for {
		var before, mine *task
		err := s.do(ctx, func() error {
			if err := o.admit(); err != nil {
				return err
			}
			if before = s.task; before == nil {
				mine = s.begin(o.name, o.keep, f)
			} else if o.urgent && !before.keep {
				before.cancel(errUndoing)
			}
			return nil
		})
		if err != nil {
			return err
		}
		wait := mine
		if wait == nil {
			wait = before
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if mine != nil {
			return mine.err
		}
	}
}

// begin starts a task; on the owner, and only when there is none.
func (s *service) begin(name string, keep bool, f func(ctx context.Context) error) *task {
	ctx, cancel := context.WithCancelCause(s.g.ctx)
	t := &task{name: name, keep: keep, cancel: cancel, done: make(chan struct{})}
	s.task = t
	s.g.busy.Go(func() {
		t.err = f(ctx)
		if t.err != nil {
			s.log.Warn("task failed", "task", name, "error", t.err)
		}
		cancel(nil)
		s.tell(func() { s.task = nil })
		close(t.done)
	})
	return t
}

// next is when the owner has something to do by itself.
func (s *service) next() (time.Time, bool) {
	var at time.Time
	consider := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	switch {
	case s.broken != nil:
	case s.task != nil:
		if s.ses != nil && !s.undoing {
			consider(s.deadline)
		}
	default:
		if s.ses != nil {
			consider(s.deadline)
		}
		consider(s.retry)
		if s.mayCool() {
			consider(s.st.Warm)
		}
		if s.mayUnpark() {
			consider(s.st.Run.Until)
		}
	}
	return at, !at.IsZero()
}

// tick does what is due.
func (s *service) tick() {
	now := s.g.now()
	passed := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	if s.expired() {
		s.undoing = true
		if s.task == nil {
			s.begin("lease ran out", true, s.expire)
		} else if !s.task.keep {
			s.task.cancel(errUndoing)
		}
		return
	}
	switch {
	case s.task != nil:
	case passed(s.retry):
		s.retry = time.Time{}
		s.begin("mend", true, s.mend)
	case passed(s.st.Warm) && s.mayCool():
		s.begin("keep warm is over", true, s.unhurried(s.cool))
	case s.mayUnpark() && passed(s.st.Run.Until):
		s.begin("parked too long", true, s.unhurried(s.unpark))
	}
}

// mayCool: until the route has moved the old slot may still serve, and a run
// that found it warm may serve by it again.
func (s *service) mayCool() bool { return !s.st.Mend && !s.inUse() }

// inUse reports whether a run needs the slot beside stable.
func (s *service) inUse() bool {
	return s.st.Run.parked() || s.st.Run.live() && s.st.Run.started()
}

// mayUnpark: a run that holds the session decides about a parked one itself.
func (s *service) mayUnpark() bool {
	return s.st.Run.parked() && (s.ses == nil || s.ses.Manual)
}

// unhurried keeps work that fails from being tried again at once.
func (s *service) unhurried(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := f(ctx)
		if err != nil {
			_ = s.g.sleep(ctx, time.Second)
		}
		return err
	}
}

// again asks for a mending after a while, longer each time.
func (s *service) again() {
	wait := min(time.Second<<min(s.tries, 6), time.Minute)
	s.tries++
	s.retry = s.g.now().Add(wait)
}

// save writes state.json; on the owner.
func (s *service) save() error {
	s.st.Boot, s.st.Machine = s.g.boot, s.g.machine
	if err := s.stateFile.save(s.st); err != nil {
		return fmt.Errorf("record the state: %w", err)
	}
	return nil
}

// change applies f to the state and writes it; if that fails the state is as
// it was before.
func (s *service) change(f func(st *state)) error {
	old := s.st.clone()
	f(&s.st)
	if err := s.save(); err != nil {
		s.st = old
		return err
	}
	return nil
}

// checkName keeps service names to what folders, services and URLs take.
func checkName(name string) error {
	ok := len(name) >= 1 && len(name) <= 80 && !strings.HasPrefix(name, ".") &&
		strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
	if !ok || release.CheckPath(name) != nil {
		return rpc.Errorf(rpc.CodeFailed, "", "service name %q: want 1 to 80 of A-Z a-z 0-9 . _ - and no dot in front", name)
	}
	return nil
}
