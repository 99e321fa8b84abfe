package scm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/scm/tree"
)

// defaultStopTimeout bounds a stop for which nobody gave a time.
const defaultStopTimeout = 30 * time.Second

// ProcessOptions configure NewProcesses.
type ProcessOptions struct {
	// Dir keeps each service's definition (NAME.json) and output (NAME.log);
	// empty: definitions in memory, output dropped.
	Dir string
	// Env is what services inherit; nil: this process's environment.
	Env []string
}

// Processes is a Manager of plain processes: its children, which die with it.
// A service is Running as soon as its process exists; SIGTERM stops it.
type Processes struct {
	opts ProcessOptions

	mu     sync.Mutex
	units  map[string]*unit
	closed bool
}

var errClosed = errors.New("service manager is closed")

// NewProcesses returns a manager of the services defined in o.Dir, all of
// them stopped: as a machine that is not booted yet (see Boot).
func NewProcesses(o ProcessOptions) (*Processes, error) {
	p := &Processes{opts: o, units: map[string]*unit{}}
	if o.Dir == "" {
		return p, nil
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create service folder: %w", err)
	}
	specs, err := loadSpecs(o.Dir)
	if err != nil {
		return nil, err
	}
	for _, s := range specs {
		p.units[s.Name] = newUnit(s)
	}
	return p, nil
}

// Boot starts the automatic services, in the order of their names, their
// dependencies first. It tries all and returns what failed.
func (p *Processes) Boot(ctx context.Context) error {
	var failed error
	names, _ := p.List(ctx, "")
	for _, name := range names {
		s, err := p.Spec(ctx, name)
		if err == nil && s.Start == Auto {
			failed = errors.Join(failed, p.Start(ctx, name))
		}
	}
	return failed
}

// Close kills all services and refuses further work.
func (p *Processes) Close() error {
	p.mu.Lock()
	p.closed = true
	var running []*tree.Tree
	for _, u := range p.units {
		u.forget()
		u.stopping = true
		if u.tree != nil {
			running = append(running, u.tree)
		}
	}
	p.mu.Unlock()
	for _, t := range running {
		t.Kill()
		<-t.Done()
	}
	return nil
}

// Ensure implements Manager.
func (p *Processes) Ensure(_ context.Context, s Spec) error {
	if err := s.check(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errClosed
	}
	if p.opts.Dir != "" {
		if err := saveSpec(p.opts.Dir, s); err != nil {
			return err
		}
	}
	if u := p.units[s.Name]; u != nil {
		u.spec = s
		return nil
	}
	p.units[s.Name] = newUnit(s)
	return nil
}

// Status implements Manager.
func (p *Processes) Status(_ context.Context, name string) (Status, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status(name), nil
}

func (p *Processes) status(name string) Status {
	if u := p.units[name]; u != nil {
		return u.status
	}
	return Status{State: Absent}
}

// Wait returns the first status of the service that ok accepts, looking at
// each change; a state that is left at once may go unseen.
func (p *Processes) Wait(ctx context.Context, name string, ok func(Status) bool) (Status, error) {
	for {
		p.mu.Lock()
		s, u := p.status(name), p.units[name]
		if u == nil || ok(s) {
			p.mu.Unlock()
			return s, absentUnless(u != nil || ok(s), name)
		}
		changed := u.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return s, fmt.Errorf("wait for service %s (%s): %w", name, s.State, context.Cause(ctx))
		}
	}
}

func absentUnless(known bool, name string) error {
	if known {
		return nil
	}
	return fmt.Errorf("service %s: %w", name, ErrNotFound)
}

// Delete implements Manager.
func (p *Processes) Delete(_ context.Context, name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.units[name]
	if u == nil {
		return nil
	}
	if u.tree != nil {
		return fmt.Errorf("delete service %s: it is %s", name, u.status.State)
	}
	u.forget()
	if err := dropSpec(p.opts.Dir, name); err != nil {
		return err
	}
	delete(p.units, name)
	u.set(Status{State: Absent})
	return nil
}

// List implements Manager.
func (p *Processes) List(_ context.Context, prefix string) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name := range p.units {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Spec implements Manager.
func (p *Processes) Spec(_ context.Context, name string) (Spec, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u := p.units[name]; u != nil {
		return u.spec, nil
	}
	return Spec{}, fmt.Errorf("service %s: %w", name, ErrNotFound)
}

// Owns implements Manager.
func (p *Processes) Owns(ctx context.Context, name string, port int) (bool, error) {
	s, err := p.Status(ctx, name)
	if err != nil || s.PID == 0 {
		return false, err
	}
	return ownsPort(int(s.PID), port)
}
