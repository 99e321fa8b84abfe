package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Errors that callers decide on. ErrStop and ErrShutdown are causes of the end
// of a service's context (context.Cause).
var (
	ErrStop     = errors.New("asked to stop")
	ErrShutdown = errors.New("the system shuts down")
	ErrNotReady = errors.New("not ready within the start time")
	ErrStuck    = errors.New("did not stop within the drain time")
	errEnded    = errors.New("the app ended")
)

// Service is a running service. Its methods may be called from everywhere, at
// any time of its life.
type Service struct {
	o       options
	mode    Mode
	log     *slog.Logger
	machine machine
	roles   *roleFile
	health  *health
	began   time.Time

	ready     chan struct{} // closed when the app works
	readyOnce sync.Once
	cancel    context.CancelCauseFunc // ends the app's context
	ending    sync.Once
	failed    atomic.Pointer[error]     // of Fail
	deadline  atomic.Pointer[time.Time] // of the drain
	rest      rest
	inFlight  atomic.Int64
	reloading sync.Mutex
	socketsMu sync.Mutex
	sockets   []namedListener // handed over by systemd, until they are taken
	app       App
}

func newService(app App, opts []Option) (*Service, error) {
	o := options{name: "service", slot: os.Getenv("SHIPPER_SLOT"), version: os.Getenv("SHIPPER_VERSION"),
		start: DefaultStartTimeout, drain: DefaultDrainTimeout, roleFile: os.Getenv("SHIPPER_ROLE_FILE")}
	for _, set := range opts {
		set(&o)
	}
	if o.mode == "" {
		m, err := DetectMode()
		if err != nil {
			return nil, err
		}
		o.mode = m
	}
	if info, ok := debug.ReadBuildInfo(); ok && o.version == "" {
		o.version = info.Main.Version
	}
	if o.log == nil {
		o.log = defaultLogger(o)
	}
	s := &Service{o: o, mode: o.mode, log: o.log, roles: newRoleFile(o.roleFile), began: time.Now(),
		ready: make(chan struct{}), app: app, cancel: func(error) {}}
	s.rest.changed = make(chan struct{})
	s.health = newHealth(s)
	if err := errors.Join(checkJobs(o.jobs), s.health.add(o.checks)); err != nil {
		return nil, err
	}
	s.machine.watch(s.logTransition)
	for _, f := range o.onState {
		s.machine.watch(f)
	}
	return s, nil
}

func defaultLogger(o options) *slog.Logger {
	if o.mode == Debug {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewJSONHandler(os.Stderr, nil)).With("service", o.name, "version", o.version, "slot", o.slot)
}

func (s *Service) logTransition(t Transition) {
	level := slog.LevelInfo
	if t.To == Degraded {
		level = slog.LevelWarn
	}
	attrs := append([]any{"from", t.From, "to", t.To, "reason", t.Reason}, eventOf(t)...)
	s.log.Log(context.Background(), level, "state", attrs...)
}

// Name is what the service is called.
func (s *Service) Name() string { return s.o.name }

// Version is what runs.
func (s *Service) Version() string { return s.o.version }

// Slot is where shipper put this instance, "blue" or "green"; "" without shipper.
func (s *Service) Slot() string { return s.o.slot }

// Mode is who runs the service.
func (s *Service) Mode() Mode { return s.mode }

// Logger is the logger of [WithLogger], or the default.
func (s *Service) Logger() *slog.Logger { return s.log }

// State is where the service is in its life, since when, and why.
func (s *Service) State() Transition { return s.machine.current() }

// OnState calls f at every later transition, as the option does.
func (s *Service) OnState(f func(Transition)) { s.machine.watch(f) }

// Role is what shipper uses this instance for just now: it is read from the
// file at every call.
func (s *Service) Role() Role { return s.roles.read() }

// OnRole calls f with the present role and at every change, which is noticed
// within half a second.
func (s *Service) OnRole(f func(Role)) { s.roles.watch(f) }

// Ready says that the app works: INIT becomes RUNNING. Later calls do nothing.
func (s *Service) Ready() {
	s.readyOnce.Do(func() {
		if s.machine.enter(Running, "ready") == nil {
			close(s.ready)
			s.health.settled()
		}
	})
}

// Stop ends the service's context with the cause, ErrStop if that is nil, and
// does not wait.
func (s *Service) Stop(cause error) {
	if cause == nil {
		cause = ErrStop
	}
	s.cancel(cause)
}

// Fail ends the service because it cannot go on: Run returns the first such
// error.
func (s *Service) Fail(err error) {
	s.failed.CompareAndSwap(nil, &err)
	s.cancel(err)
}

// Drain gives a context for what is finished after a stop: it has the values
// of ctx and ends with the drain time, which runs from the stop on.
func (s *Service) Drain(ctx context.Context) (context.Context, context.CancelFunc) {
	until := time.Now().Add(s.o.drain)
	if d := s.deadline.Load(); d != nil {
		until = *d
	}
	return context.WithDeadlineCause(context.WithoutCancel(ctx), until, fmt.Errorf("drain time of %s: %w", s.o.drain, ErrStuck))
}

// Reload reads the configuration again, by what [WithReload] named, one
// reload at a time.
func (s *Service) Reload(ctx context.Context) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	var all error
	for _, reload := range s.o.reload {
		all = errors.Join(all, reload(ctx))
	}
	if all != nil {
		s.log.Error("reload refused", "error", all, eventReload)
		return all
	}
	s.log.Info("reloaded", eventReload)
	return nil
}

// Alive is nil while the process need not be restarted: see [WithLiveness].
func (s *Service) Alive() error {
	var all error
	for _, ask := range s.o.live {
		all = errors.Join(all, ask())
	}
	return all
}
