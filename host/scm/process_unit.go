package scm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-shipper/shipper/host/scm/tree"
)

// terminated is the exit code of a process that SIGTERM ended.
const terminated = 128 + 15

// unit is one service of Processes, guarded by the manager's lock.
type unit struct {
	spec     Spec
	status   Status
	changed  chan struct{} // closed and replaced at each change of status
	tree     *tree.Tree    // nil: not running
	stopping bool          // its end is wanted
	failures int           // since the last reset
	restart  *time.Timer   // a recovery action that is due
}

func newUnit(s Spec) *unit {
	return &unit{spec: s, status: Status{State: Stopped}, changed: make(chan struct{})}
}

func (u *unit) set(s Status) {
	u.status = s
	close(u.changed)
	u.changed = make(chan struct{})
}

// forget cancels a recovery action.
func (u *unit) forget() {
	if u.restart != nil {
		u.restart.Stop()
		u.restart = nil
	}
}

// Start implements Manager.
func (p *Processes) Start(ctx context.Context, name string) error {
	return p.startAfter(ctx, name, nil)
}

// startAfter starts the dependencies first; above are the services that wait
// for this one already.
func (p *Processes) startAfter(ctx context.Context, name string, above []string) error {
	spec, err := p.Spec(ctx, name)
	if err != nil {
		return err
	}
	if slices.Contains(above, name) {
		return (&StartError{Service: name, Code: CodeDependency, Err: fmt.Errorf("circular dependency %v", append(above, name))}).problem()
	}
	for _, dep := range spec.DependsOn {
		if err := p.startAfter(ctx, dep, append(above, name)); err != nil {
			return (&StartError{Service: name, Code: CodeDependency, Err: err}).problem()
		}
	}
	settled := func(s Status) bool { return s.State != StopPending }
	if _, err := p.Wait(ctx, name, settled); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if u := p.units[name]; u != nil {
		return p.launch(u)
	}
	return fmt.Errorf("service %s: %w", name, ErrNotFound)
}

func (p *Processes) launch(u *unit) error {
	switch {
	case p.closed:
		return errClosed
	case u.tree != nil:
		return nil
	case u.spec.Start == Disabled:
		return (&StartError{Service: u.spec.Name, Code: CodeDisabled}).problem()
	}
	u.forget()
	out, err := p.output(u.spec.Name)
	if err != nil {
		return err
	}
	defer out.Close()
	t, err := tree.Start(p.command(u.spec, out))
	if err != nil {
		u.set(Status{State: Stopped})
		return startFailed(u.spec.Name, err).problem()
	}
	u.tree, u.stopping = t, false
	u.set(Status{State: Running, PID: uint32(t.PID()), Started: time.Now()})
	go p.reap(u, t)
	return nil
}

func startFailed(name string, err error) *StartError {
	e := &StartError{Service: name, Code: CodeAborted, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Code = CodeFileNotFound
	case errors.Is(err, fs.ErrPermission):
		e.Code = CodeAccessDenied
	}
	return e
}

func (p *Processes) output(name string) (*os.File, error) {
	path := os.DevNull
	if p.opts.Dir != "" {
		path = filepath.Join(p.opts.Dir, name+".log")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open output of service %s: %w", name, err)
	}
	return f, nil
}

func (p *Processes) command(s Spec, out *os.File) *exec.Cmd {
	env := p.opts.Env
	if env == nil {
		env = os.Environ()
	}
	return &exec.Cmd{
		Path:   s.Executable,
		Args:   append([]string{s.Executable}, s.Args...),
		Env:    append(slices.Clone(env), s.Env...),
		Dir:    s.Dir,
		Stdout: out,
		Stderr: out,
	}
}

// reap waits for the end of a process and does what the recovery says.
func (p *Processes) reap(u *unit, t *tree.Tree) {
	<-t.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	ran := time.Since(u.status.Started)
	u.tree = nil
	exit := t.Exit()
	if u.stopping && exit == terminated {
		exit = 0 // it had no handler for the signal; that is no failure
	}
	u.set(Status{State: Stopped, Exit: exit})
	if exit != 0 && !u.stopping && !p.closed {
		p.failed(u, ran)
	}
}

// failed schedules the next recovery action; the last one repeats, and a
// run as long as the reset period starts the list anew.
func (p *Processes) failed(u *unit, ran time.Duration) {
	if len(u.spec.Recovery) == 0 {
		return
	}
	if u.spec.ResetPeriod > 0 && ran >= u.spec.ResetPeriod {
		u.failures = 0
	}
	delay := u.spec.Recovery[min(u.failures, len(u.spec.Recovery)-1)]
	u.failures++
	var timer *time.Timer
	timer = time.AfterFunc(delay, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if u.restart == timer { // not cancelled meanwhile
			_ = p.launch(u) // its failure is the status
		}
	})
	u.restart = timer
}

// Stop implements Manager.
func (p *Processes) Stop(ctx context.Context, name string, timeout time.Duration) error {
	t := p.beginStop(name)
	if t == nil {
		return nil
	}
	if err := t.Signal(tree.CtrlBreak); err != nil {
		t.Kill() // there is no other way to ask it
	}
	if timeout <= 0 {
		timeout = defaultStopTimeout
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-t.Done():
	case <-late.C:
		t.Kill()
	case <-ctx.Done():
	}
	_, err := p.Wait(ctx, name, func(s Status) bool { // somebody may start it again at once
		return s.State == Absent || s.PID != uint32(t.PID())
	})
	return err
}

// beginStop marks the service's end as wanted; nil: it does not run.
func (p *Processes) beginStop(name string) *tree.Tree {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.units[name]
	if u == nil {
		return nil
	}
	u.forget()
	if u.tree == nil {
		return nil
	}
	u.stopping = true
	s := u.status
	s.State = StopPending
	u.set(s)
	return u.tree
}
