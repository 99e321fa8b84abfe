package recovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-shipper/shipper/service/log"
)

// Options of Watch.
type Options struct {
	// Dir keeps reports, and what one run tells the next. It is created, for
	// the service's account only. Each slot has its own. Needed.
	Dir string
	// Name and Version of the service, for reports; empty: not told.
	Name, Version string
	// LogFile whose last lines go into a report; empty: none.
	LogFile string
	// Lines of it; 0 is 50.
	Lines int
	// Keep so many reports, the newest; 0 is 10.
	Keep int
	// Policy of Supervisor, and of crashes of the process; the zero Policy has
	// the defaults.
	Policy Policy
	// Log is told of a crash; nil is slog.Default().
	Log *slog.Logger
}

// Crashes sees to it that the end of this run is known to the next.
type Crashes struct {
	o      Options
	output *os.File
	ledger *ledger
	last   *Report
	close  sync.Once
}

// Report tells how the last run ended.
type Report struct {
	Found   time.Time
	Version string    // that ran
	Started time.Time // when; zero if not known
	Reason  string    // the first line of the crash, or "ended without a word"
	Path    string    // of the report, with all goroutines and the last lines of the log
}

// running is the mark of a run that has not ended well.
type running struct {
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Boot    string    `json:"boot"`
}

const (
	markName   = "running.json"
	outputName = "crash.out"
	ledgerName = "failures"
)

// Watch looks for traces of a crash of the last run, reports it, and has a crash
// of this one written down: the text that Go prints, which on Windows nobody
// keeps otherwise. A run that was cut off by a reboot or a power cut is no
// crash. One Crashes per process. Call it first, and End last.
func Watch(o Options) (*Crashes, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Policy = o.Policy.withDefaults()
	o.Lines, o.Keep = or(o.Lines, 50), or(o.Keep, 10)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("watch for crashes: %w", err)
	}
	c := &Crashes{o: o, ledger: openLedger(filepath.Join(o.Dir, ledgerName))}
	if err := errors.Join(c.look(), c.begin()); err != nil {
		return nil, fmt.Errorf("watch for crashes: %w", err)
	}
	return c, nil
}

// look reports how the last run ended, if it did not end well.
func (c *Crashes) look() error {
	mark, marked, err := c.mark()
	if err != nil {
		return err
	}
	text, err := readStart(c.path(outputName), maxText)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(text) == 0 && (!marked || !sameBoot(mark.Boot, bootID())) {
		return nil
	}
	r, err := c.write(mark, text)
	if err != nil {
		return err
	}
	c.last = &r
	c.o.Log.Error("the last run crashed", "reason", r.Reason, "version", r.Version, "started", r.Started, "report", r.Path, log.Event(log.EventCrashed))
	return c.ledger.add(time.Now(), c.o.Policy.Window)
}

// mark of the last run. One that is torn is a mark all the same.
func (c *Crashes) mark() (r running, found bool, err error) {
	b, err := os.ReadFile(c.path(markName))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if json.Unmarshal(b, &r) != nil {
		return running{Boot: bootID()}, true, nil
	}
	return r, true, nil
}

// begin marks this run, and gives its crash a place.
func (c *Crashes) begin() error {
	f, err := os.OpenFile(c.path(outputName), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		return errors.Join(err, f.Close())
	}
	c.output = f
	b, err := json.Marshal(running{PID: os.Getpid(), Version: c.o.Version, Started: time.Now(), Boot: bootID()})
	if err != nil {
		return err
	}
	return os.WriteFile(c.path(markName), b, 0o600)
}

func (c *Crashes) path(name string) string { return filepath.Join(c.o.Dir, name) }

// Last is the crash that Watch found, nil if the last run ended well.
func (c *Crashes) Last() *Report { return c.last }

// Supervisor runs work by the Policy. Its failures count together with the
// crashes of earlier runs: after too many it begins in maintenance mode, and
// its Check says so at once.
func (c *Crashes) Supervisor(name string) *Supervisor {
	s := NewSupervisor(name, c.o.Policy, c.o.Log)
	s.ledger = c.ledger
	if c.last != nil {
		s.last = fmt.Errorf("the last run crashed: %s", c.last.Reason)
	}
	if s.tooMany() {
		s.enter(context.Background())
	}
	return s
}

// End says that the run ends in order, so that the next one finds no crash. With
// an error it ends by itself, which counts as a failure.
func (c *Crashes) End(reason error) (err error) {
	c.close.Do(func() {
		if reason != nil {
			err = c.ledger.add(time.Now(), c.o.Policy.Window)
		}
		err = errors.Join(err, debug.SetCrashOutput(nil, debug.CrashOptions{}), c.output.Close(),
			os.Remove(c.path(outputName)), os.Remove(c.path(markName)))
	})
	if err != nil {
		return fmt.Errorf("end watching for crashes: %w", err)
	}
	return nil
}
