package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slots are the two instances of one host, by their role files, and how often
// a job that may run once only ran in each.
type slots struct {
	t      *testing.T
	dir    string
	runs   map[string]*atomic.Int64
	active atomic.Int64 // runs that go on just now, of both
	worst  atomic.Int64
}

func newSlots(t *testing.T) *slots {
	return &slots{t: t, dir: t.TempDir(), runs: map[string]*atomic.Int64{"blue": {}, "green": {}}}
}

// set gives a role, as the guard does: by replacing the file.
func (s *slots) set(slot string, r Role) {
	s.t.Helper()
	path := filepath.Join(s.dir, slot)
	if err := errors.Join(os.WriteFile(path+".new", []byte(r), 0o600), os.Rename(path+".new", path)); err != nil {
		s.t.Fatal(err)
	}
}

// boot starts an instance; the returned function stops it.
func (s *slots) boot(slot string) (stop func()) {
	s.t.Helper()
	job := Job{Name: "bill", Every: time.Minute, Singleton: true, Run: func(ctx context.Context) error {
		defer s.active.Add(-1)
		if n := s.active.Add(1); n > s.worst.Load() {
			s.worst.Store(n)
		}
		s.runs[slot].Add(1)
		if !sleep(ctx, 10*time.Second) {
			return context.Cause(ctx)
		}
		return nil
	}}
	service, ctx, _ := begin(s.t, Func(func(ctx context.Context) error {
		From(ctx).Ready()
		<-ctx.Done()
		return nil
	}), WithRoleFile(filepath.Join(s.dir, slot)), WithJob(job))
	ended := make(chan error, 1)
	go func() { ended <- service.live(ctx) }()
	return func() {
		service.Stop(nil)
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	}
}

// expect lets time pass and compares which slot ran the job in it.
func (s *slots) expect(when string, during time.Duration, blue, green bool) {
	s.t.Helper()
	before := map[string]int64{"blue": s.runs["blue"].Load(), "green": s.runs["green"].Load()}
	pass(during)
	for slot, want := range map[string]bool{"blue": blue, "green": green} {
		n := s.runs[slot].Load() - before[slot]
		// One run takes ten seconds and the next begins 54 to 66 seconds later.
		least, most := int64(during/(76*time.Second))-1, int64(during/(64*time.Second))+1
		if want && (n < least || n > most) || !want && n != 0 {
			s.t.Errorf("%s: %s ran %d jobs within %s, want %v", when, slot, n, during, want)
		}
	}
	if s.worst.Load() > 1 {
		s.t.Errorf("%s: %d jobs ran at once", when, s.worst.Load())
	}
}

// Work that may run once only runs in one instance at any time: across a
// promotion, a rollback, a lost role file, and a reboot.
func TestSingletonJobsAcrossTheLifeOfARelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t)
		s.set("blue", Stable)
		stopBlue := s.boot("blue")
		s.expect("one release", time.Hour, true, false)

		s.set("green", Canary)
		stopGreen := s.boot("green")
		s.expect("a canary beside it", time.Hour, true, false)

		s.set("blue", Canary) // in the guard's order: first the one down …
		s.set("green", Stable)
		s.expect("promoted", time.Hour, false, true)

		s.set("green", Canary)
		s.set("blue", Stable)
		s.expect("rolled back while kept warm", time.Hour, true, false)

		if err := os.Remove(filepath.Join(s.dir, "blue")); err != nil {
			t.Fatal(err)
		}
		pass(rolePoll)
		s.expect("the role is unknown", time.Hour, false, false)
		s.set("blue", Stable)
		s.expect("it is known again", time.Hour, true, false)

		stopBlue()
		stopGreen()
		s.set("blue", Canary) // … and the power went in the middle of a promotion
		stopBlue, stopGreen = s.boot("blue"), s.boot("green")
		s.expect("booted into no stable", time.Hour, false, false)
		s.set("green", Stable) // the guard mends it
		s.expect("mended", time.Hour, false, true)
		stopBlue()
		stopGreen()
	})
}

// A job is told at once when its instance is replaced while it runs, and the
// other does not begin before that.
func TestSingletonJobIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t)
		s.set("blue", Stable)
		s.set("green", Canary)
		causes := make(chan error, 1)
		blue, ctx, told := begin(t, readyFunc(), WithRoleFile(filepath.Join(s.dir, "blue")),
			WithJob(Job{Name: "long", Every: time.Second, Singleton: true, Run: func(ctx context.Context) error {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return ctx.Err()
			}}))
		ended := make(chan error, 1)
		go func() { ended <- blue.live(ctx) }()
		pass(time.Minute)
		begun := time.Now()
		s.set("blue", Canary)
		if cause := <-causes; !errors.Is(cause, ErrRole) || time.Since(begun) > rolePoll {
			t.Errorf("cause %v after %s", cause, time.Since(begun))
		}
		blue.Stop(nil)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if log := told.logged(); !strings.Contains(log, "job cut short") {
			t.Errorf("logged %s", log)
		}
	})
}

func readyFunc() Func {
	return func(ctx context.Context) error {
		From(ctx).Ready()
		<-ctx.Done()
		return nil
	}
}

// Jobs that may run everywhere: no overlap, jitter within its bounds, none
// while paused, and the stop waits for the one that runs.
func TestJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begins box[[]time.Time]
		var finished box[bool]
		job := Job{Name: "sync", Every: 10 * time.Second, Jitter: 0.5, Run: func(ctx context.Context) error {
			begins.set(append(begins.get(), time.Now()))
			finished.set(false)
			time.Sleep(3 * time.Second) // does not listen to ctx
			finished.set(true)
			return errors.New("is logged and no more")
		}}
		s, ctx, _ := begin(t, readyFunc(), WithJob(job))
		ended := make(chan error, 1)
		go func() { ended <- s.live(ctx) }()
		pass(time.Hour)
		seen := begins.get()
		for i := 1; i < len(seen); i++ {
			if gap := seen[i].Sub(seen[i-1]); gap < 8*time.Second || gap > 18*time.Second {
				t.Errorf("runs begin %s apart", gap)
			}
		}
		if n := len(seen); n < 240 || n > 320 {
			t.Errorf("%d runs in an hour", n)
		}
		if err := s.Pause(ctx); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute) // the one that runs ends
		n := len(begins.get())
		pass(time.Hour)
		if len(begins.get()) != n {
			t.Errorf("%d runs while paused", len(begins.get())-n)
		}
		if err := s.Continue(ctx); err != nil {
			t.Fatal(err)
		}
		for len(begins.get()) == n || finished.get() {
			pass(time.Second)
		}
		s.Stop(nil)
		if err := <-ended; err != nil || !finished.get() {
			t.Errorf("stopped with %v, the job had finished: %v", err, finished.get())
		}
	})
}

func TestJobThatDoesNotEndIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx, _ := begin(t, readyFunc(), WithDrainTimeout(time.Second), WithJob(Job{Name: "deaf", Every: time.Second,
			Run: func(context.Context) error { time.Sleep(time.Hour); return nil }}))
		time.AfterFunc(time.Minute, func() { s.Stop(nil) })
		if err := s.live(ctx); !errors.Is(err, ErrStuck) {
			t.Errorf("stopped with %v", err)
		}
		pass(time.Hour)
	})
}

func TestJobTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took box[time.Duration]
		s, ctx, told := begin(t, readyFunc(), WithJob(Job{Name: "slow", Every: time.Minute, Jitter: -1, Timeout: time.Second,
			Run: func(ctx context.Context) error {
				begin := time.Now()
				<-ctx.Done()
				took.set(time.Since(begin))
				return context.Cause(ctx)
			}}))
		time.AfterFunc(90*time.Second, func() { s.Stop(nil) })
		if err := s.live(ctx); err != nil || took.get() != time.Second {
			t.Errorf("%v, it took %s: %s", err, took.get(), told.logged())
		}
	})
}

func TestRoleFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "role")
	for text, want := range map[string]Role{"stable": Stable, "canary\r\n": Canary, "": NoRole, "Stable": NoRole, "stable canary": NoRole} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := newRoleFile(path).read(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := newRoleFile("").read(); got != Stable {
		t.Errorf("without shipper: %q", got)
	}
}

func TestRoleIsToldAtOnceAndAtEachChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(t)
		s.set("blue", Canary)
		var seen box[[]Role]
		service, ctx, _ := begin(t, readyFunc(), WithRoleFile(filepath.Join(s.dir, "blue")),
			OnRole(func(r Role) { seen.set(append(seen.get(), r)) }))
		ended := make(chan error, 1)
		go func() { ended <- service.live(ctx) }()
		pass(time.Minute)
		s.set("blue", Stable)
		pass(time.Minute)
		if !slices.Equal(seen.get(), []Role{Canary, Stable}) {
			t.Errorf("told %v", seen.get())
		}
		service.Stop(nil)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// pass lets time go by in a bubble of synctest, and what is due then happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// box is a value that goroutines share.
type box[T any] struct {
	mu sync.Mutex
	v  T
}

func (b *box[T]) get() T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.v
}

func (b *box[T]) set(v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.v = v
}
