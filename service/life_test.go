package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// story keeps what a service went through.
type story struct {
	mu   sync.Mutex
	told []string
	log  bytes.Buffer
}

func (s *story) add(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, what)
}

func (s *story) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.told, " ")
}

func (s *story) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *story) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// begin makes a service that tells its states to the story, and its context.
func begin(t *testing.T, app App, opts ...Option) (*Service, context.Context, *story) {
	t.Helper()
	told := &story{}
	opts = append([]Option{WithMode(Daemon), WithName("test"), WithLogger(slog.New(slog.NewTextHandler(told, nil))),
		OnState(func(tr Transition) { told.add(string(tr.To)) })}, opts...)
	s, err := newService(app, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.bind(t.Context()), told
}

// pair is an App with Start and Stop.
type pair struct {
	*story
	name            string
	failOn          string
	hang            bool
	startIn, stopIn time.Duration
}

func (p *pair) Start(ctx context.Context) error { return p.do(ctx, "start", p.startIn) }
func (p *pair) Stop(ctx context.Context) error  { return p.do(ctx, "stop", p.stopIn) }

func (p *pair) do(ctx context.Context, what string, in time.Duration) error {
	p.add(p.name + what)
	if p.hang && what == "stop" {
		time.Sleep(time.Hour) // whatever ctx says
	}
	if !sleep(ctx, in) {
		return context.Cause(ctx)
	}
	if p.failOn == what {
		return errors.New("told to fail")
	}
	return nil
}

func TestLifeOfAnApp(t *testing.T) {
	tests := map[string]struct {
		app   pair
		after time.Duration // until it is told to stop; 0: at its own end
		want  string
		err   error
		says  string
	}{
		"clean":                   {pair{}, time.Hour, "start RUNNING STOPPING stop STOPPED", nil, ""},
		"slow to start":           {pair{startIn: 59 * time.Second}, time.Hour, "start RUNNING STOPPING stop STOPPED", nil, ""},
		"never ready":             {pair{startIn: 61 * time.Second}, time.Hour, "start STOPPING STOPPED", ErrNotReady, ""},
		"cannot start":            {pair{failOn: "start"}, 0, "start STOPPING STOPPED", nil, "told to fail"},
		"stopped while it starts": {pair{startIn: time.Minute}, time.Second, "start STOPPING STOPPED", nil, ""},
		"cannot stop":             {pair{failOn: "stop"}, time.Hour, "start RUNNING STOPPING stop STOPPED", nil, "told to fail"},
		"drains long":             {pair{stopIn: 19 * time.Second}, time.Hour, "start RUNNING STOPPING stop STOPPED", nil, ""},
		"drains too long":         {pair{stopIn: 21 * time.Second}, time.Hour, "start RUNNING STOPPING stop STOPPED", ErrStuck, ""},
		"does not stop":           {pair{hang: true}, time.Hour, "start RUNNING STOPPING stop STOPPED", ErrStuck, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := tt.app
				s, ctx, told := begin(t, &app)
				app.story = told
				if tt.after > 0 {
					time.AfterFunc(tt.after, func() { s.Stop(nil) })
				}
				err := s.live(ctx)
				time.Sleep(time.Hour) // till the hanging one is gone
				if got := told.String(); got != tt.want {
					t.Errorf("went %s, want %s", got, tt.want)
				}
				wantErr := tt.err != nil || tt.says != ""
				if (err != nil) != wantErr || tt.err != nil && !errors.Is(err, tt.err) || tt.says != "" && !strings.Contains(err.Error(), tt.says) {
					t.Errorf("error %v", err)
				}
			})
		})
	}
}

func TestLifeOfAFunction(t *testing.T) {
	errLater := errors.New("the disk is gone")
	tests := map[string]struct {
		run  Func
		want string
		err  error
	}{
		"clean": {func(ctx context.Context) error {
			From(ctx).Ready()
			<-ctx.Done()
			return ctx.Err()
		}, "RUNNING STOPPING STOPPED", nil},
		"ends by itself": {func(ctx context.Context) error { From(ctx).Ready(); return nil }, "RUNNING STOPPING STOPPED", nil},
		"fails":          {func(ctx context.Context) error { From(ctx).Ready(); return errLater }, "RUNNING STOPPING STOPPED", errLater},
		"fails from aside": {func(ctx context.Context) error {
			From(ctx).Ready()
			From(ctx).Fail(errLater)
			<-ctx.Done()
			return context.Cause(ctx)
		}, "RUNNING STOPPING STOPPED", errLater},
		"fails from aside and returns": {func(ctx context.Context) error {
			From(ctx).Ready()
			From(ctx).Fail(errLater)
			return nil
		}, "RUNNING STOPPING STOPPED", errLater},
		"forgot to be ready": {func(ctx context.Context) error { <-ctx.Done(); return nil }, "STOPPING STOPPED", ErrNotReady},
		"ready too late": {func(ctx context.Context) error {
			<-ctx.Done()
			From(ctx).Ready()
			return nil
		}, "STOPPING STOPPED", ErrNotReady},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, ctx, told := begin(t, tt.run)
				time.AfterFunc(time.Hour, func() { s.Stop(ErrShutdown) })
				err := s.live(ctx)
				if got := told.String(); got != tt.want || !errors.Is(err, tt.err) || (tt.err == nil && err != nil) {
					t.Errorf("went %s with %v, want %s with %v", got, err, tt.want, tt.err)
				}
			})
		})
	}
}

// Parts are up before the app and down after it; one that cannot start keeps
// the app from starting, and those before it are stopped.
func TestPartsLiveAroundTheApp(t *testing.T) {
	for name, tt := range map[string]struct {
		fail, want string
	}{
		"clean":            {"", "log.start db.start start RUNNING STOPPING stop db.stop log.stop STOPPED"},
		"one cannot start": {"start", "log.start db.start STOPPING log.stop STOPPED"},
		"one cannot stop":  {"stop", "log.start db.start start RUNNING STOPPING stop db.stop log.stop STOPPED"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app, log, db := &pair{}, &pair{name: "log."}, &pair{name: "db.", failOn: tt.fail}
				s, ctx, told := begin(t, app, WithPart(log), WithPart(db))
				app.story, log.story, db.story = told, told, told
				time.AfterFunc(time.Hour, func() { s.Stop(nil) })
				if err := s.live(ctx); (err != nil) != (tt.fail != "") {
					t.Errorf("error %v", err)
				}
				if told.String() != tt.want {
					t.Errorf("went %s, want %s", told, tt.want)
				}
			})
		})
	}
}

// resting is an app that is asked about pauses.
type resting struct {
	pair
	refuse error
}

func (r *resting) Pause(context.Context) error    { r.add("pause"); return r.refuse }
func (r *resting) Continue(context.Context) error { r.add("continue"); return r.refuse }

func TestPauseAndContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &resting{}
		s, ctx, told := begin(t, app)
		app.story = told
		if err := s.Pause(ctx); !errors.Is(err, ErrTransition) {
			t.Errorf("paused before it ran: %v", err)
		}
		ended := make(chan error)
		go func() { ended <- s.live(ctx) }()
		synctest.Wait()
		if err := s.Pause(ctx); err != nil || !s.Paused() || s.ReadyForWork() || !s.Healthy() {
			t.Errorf("paused: %v, ready %v, healthy %v", err, s.ReadyForWork(), s.Healthy())
		}
		app.refuse = errors.New("not now")
		if err := s.Continue(ctx); !errors.Is(err, app.refuse) || !s.Paused() {
			t.Errorf("refused to continue: %v", err)
		}
		app.refuse = nil
		if err := s.Continue(ctx); err != nil || s.Paused() || !s.ReadyForWork() {
			t.Errorf("continued: %v", err)
		}
		s.Stop(nil)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if want := "start RUNNING pause continue continue STOPPING stop STOPPED"; told.String() != want {
			t.Errorf("went %s, want %s", told, want)
		}
	})
}

func TestOptionsThatCannotBe(t *testing.T) {
	probe := func(context.Context) error { return nil }
	for name, opt := range map[string]Option{
		"job without a time":     WithJob(Job{Name: "x", Run: probe}),
		"job without work":       WithJob(Job{Name: "x", Every: time.Second}),
		"check without a name":   WithChecks(Check{Probe: probe}),
		"check without a probe":  WithChecks(Check{Name: "x"}),
		"two checks of one name": WithChecks(Check{Name: "x", Probe: probe}, Check{Name: "x", Probe: probe}),
	} {
		if err := Run(t.Context(), &pair{}, WithMode(Daemon), opt); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestReloadTellsAllErrors(t *testing.T) {
	first, second := errors.New("no file"), errors.New("no range")
	var order []int
	s, ctx, told := begin(t, &pair{},
		WithReload(func(context.Context) error { order = append(order, 1); return first }),
		WithReload(func(context.Context) error { order = append(order, 2); return second }))
	if err := s.Reload(ctx); !errors.Is(err, first) || !errors.Is(err, second) || !slices.Equal(order, []int{1, 2}) {
		t.Errorf("%v, order %v", err, order)
	}
	if !strings.Contains(told.logged(), "reload refused") {
		t.Errorf("logged %s", told.logged())
	}
}

// Who wants to know how it ended is told, the first one last.
func TestAtEnd(t *testing.T) {
	broken, full := errors.New("broken"), errors.New("disk full")
	var told []string
	err := Run(t.Context(), Func(func(ctx context.Context) error { return broken }), WithMode(Daemon), WithLogger(slog.New(slog.DiscardHandler)),
		AtEnd(func(err error) error { told = append(told, "log "+err.Error()); return full }),
		AtEnd(func(err error) error { told = append(told, "crashes "+err.Error()); return nil }))
	if !errors.Is(err, broken) || !errors.Is(err, full) || !slices.Equal(told, []string{"crashes broken", "log broken"}) {
		t.Errorf("%v, told %v", err, told)
	}
}
