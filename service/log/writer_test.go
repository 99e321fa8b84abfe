package log

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// disk is an output that can be told to hang and to fail.
type disk struct {
	mu     sync.Mutex
	out    bytes.Buffer
	writes int
	err    error
	begun  chan struct{} // each write tells, if not nil …
	goOn   chan struct{} // … and waits
}

func (d *disk) Write(p []byte) (int, error) {
	if d.begun != nil {
		d.begun <- struct{}{}
		<-d.goOn
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.err != nil {
		return 0, d.err
	}
	return d.out.Write(p)
}

func hanging() *disk { return &disk{begun: make(chan struct{}), goOn: make(chan struct{})} }

// wake ends the hanging, until the test closes d.begun.
func (d *disk) wake() {
	close(d.goOn)
	go func() {
		for range d.begun {
		}
	}()
}

func TestCleanStopLosesNothing(t *testing.T) {
	const callers, each = 8, 1000
	var d disk
	l := open(t, Options{Output: &d, Buffer: 64 << 10, MaxWait: time.Hour})
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for n := range each {
				l.Logger().Info("x", "caller", caller, "n", n)
			}
		})
	}
	group.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	next := map[float64]float64{}
	for _, m := range parse(t, d.out.Bytes()) {
		caller := m["caller"].(float64)
		if m["n"] != next[caller] {
			t.Fatalf("caller %v: line %v, want %v", caller, m["n"], next[caller])
		}
		next[caller]++
	}
	for caller := range callers {
		if next[float64(caller)] != each {
			t.Errorf("caller %d: %v lines", caller, next[float64(caller)])
		}
	}
	if s := l.Stats(); s.Lines != callers*each || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

// A line after quiet goes out at once, those behind it together; an error does
// not wait for more.
func TestLinesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d disk
		l := open(t, Options{Output: &d})
		writes := func() int {
			synctest.Wait()
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.writes
		}
		l.Logger().Info("first")
		if n := writes(); n != 1 {
			t.Errorf("%d writes for the first line", n)
		}
		for range 100 {
			l.Logger().Info("more")
		}
		if n := writes(); n != 1 {
			t.Errorf("%d writes before the time is over", n)
		}
		time.Sleep(gather)
		if n := writes(); n != 2 {
			t.Errorf("%d writes for 101 lines", n)
		}
		l.Logger().Error("bad")
		if n := writes(); n != 3 {
			t.Errorf("%d writes after an error", n)
		}
		l.Logger().Info("flushed")
		if err := l.Flush(); err != nil || writes() != 4 {
			t.Errorf("%d writes after a flush, %v", writes(), err)
		}
		l.Close()
	})
}

func TestFullBuffer(t *testing.T) {
	const room = 4096
	tests := map[string]struct {
		policy Policy
		wait   time.Duration // wanted of one caller that finds no room
	}{
		"drop":  {Drop, 0},
		"block": {Block, 50 * time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := hanging()
				l := open(t, Options{Output: d, Buffer: 2 * room, Full: tt.policy, MaxWait: tt.wait})
				l.Logger().Info("first")
				<-d.begun // the disk hangs from here on
				logged, begun := 1, time.Now()
				for l.Stats().Dropped == 0 {
					begun = time.Now()
					l.Logger().Info("more")
					logged++
				}
				if took := time.Since(begun); took != tt.wait {
					t.Errorf("the caller waited %v, want %v", took, tt.wait)
				}
				d.wake()
				if err := l.Close(); err != nil {
					t.Error(err)
				}
				close(d.begun)
				lines := parse(t, d.out.Bytes())
				last := lines[len(lines)-1]
				if len(lines) != logged || last["msg"] != "log lines dropped" || last["dropped"] != 1.0 {
					t.Errorf("%d lines of %d, the last is %v", len(lines), logged, last)
				}
				l.Logger().Info("too late")
				if s := l.Stats(); s.Dropped != 2 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// Who waits goes on as soon as the disk does.
func TestBlockedCallersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := hanging()
		l := open(t, Options{Output: d, Buffer: 8192, MaxWait: time.Hour})
		l.Logger().Info("first")
		<-d.begun
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				for range 100 {
					l.Logger().Info("more")
				}
			})
		}
		synctest.Wait()
		if l.Stats().Waits == 0 {
			t.Error("nobody waits")
		}
		d.wake()
		callers.Wait()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		close(d.begun)
		if n := len(parse(t, d.out.Bytes())); n != 1001 {
			t.Errorf("%d lines", n)
		}
	})
}

func TestWriteErrorsAreTold(t *testing.T) {
	full := errors.New("disk full")
	d := &disk{err: full}
	l := open(t, Options{Output: d})
	l.Logger().Info("lost")
	if err := l.Flush(); !errors.Is(err, full) {
		t.Errorf("flush: %v", err)
	}
	d.mu.Lock()
	d.err = nil
	d.mu.Unlock()
	l.Logger().Info("kept")
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if s := l.Stats(); s.Lines != 1 || s.Failed != 1 {
		t.Errorf("%+v", s)
	}
}

// A record that no buffer could hold costs nobody a wait.
func TestHugeRecordIsDropped(t *testing.T) {
	var d disk
	l := open(t, Options{Output: &d, Buffer: 4096, MaxWait: time.Hour})
	l.Logger().Info("x", "huge", string(make([]byte, 10_000)))
	l.Logger().Info("y")
	l.Close()
	if s := l.Stats(); s.Dropped != 1 || s.Waits != 0 {
		t.Errorf("%+v", s)
	}
}

func TestWrongOptions(t *testing.T) {
	for _, o := range []Options{{Buffer: -1}, {MaxWait: -1}, {Full: 7}, {File: folder(t) + "/x", Rotation: Rotation{Keep: -1}}, {File: folder(t)}} {
		if l, err := Open(o); err == nil {
			l.Close()
			t.Errorf("%+v was taken", o)
		}
	}
}
