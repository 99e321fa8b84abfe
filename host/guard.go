package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/store"
	"github.com/go-shipper/shipper/release"
)

// Guard is the only writer of state and session on a host. It gives out
// sessions, changes slots for whoever holds one, and takes everything back
// when its owner is gone. It has no network: the bridge reaches it over a
// loopback port and a secret in a protected file.
type Guard struct {
	opts       Options
	store      *store.Store
	machine    string
	boot       string
	hostname   string
	helper     release.Digest // of Executable
	routerLock chan struct{}
	wrote      func(path string) error // for tests

	ctx  context.Context // of everything under way
	stop context.CancelCauseFunc
	busy sync.WaitGroup

	mu       sync.Mutex
	services map[string]*service // by lower-case name: Windows ignores case
}

// NewGuard reads what the host remembers. Run brings it to life.
func NewGuard(o Options) (*Guard, error) {
	o = o.withDefaults()
	if o.SCM == nil || o.Router == nil || !filepath.IsAbs(o.Executable) {
		return nil, errors.New("guard: SCM, Router and an absolute Executable are needed")
	}
	for _, dir := range []string{o.Layout.Programs, o.Layout.Data, o.Layout.Guard()} {
		if err := acl.EnsureRoot(dir); err != nil {
			return nil, err
		}
	}
	g := &Guard{opts: o, routerLock: make(chan struct{}, 1), services: map[string]*service{}}
	g.ctx, g.stop = context.WithCancelCause(context.Background())
	var err error
	if g.machine, err = o.Machine(); err != nil {
		return nil, err
	}
	if g.boot, err = o.Boot(); err != nil {
		return nil, err
	}
	if g.hostname, err = os.Hostname(); err != nil {
		return nil, fmt.Errorf("read the host's name: %w", err)
	}
	if g.helper, err = store.FileDigest(o.Executable); err != nil {
		return nil, fmt.Errorf("read the guard's executable: %w", err)
	}
	if g.store, err = store.Open(o.Layout.Programs); err != nil {
		return nil, err
	}
	return g, g.loadServices()
}

func (g *Guard) loadServices() error {
	entries, err := os.ReadDir(g.opts.Layout.Data)
	if err != nil {
		return fmt.Errorf("read services: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || checkName(e.Name()) != nil {
			continue
		}
		if s := newService(g, e.Name()); s.load() {
			g.services[strings.ToLower(e.Name())] = s
		}
	}
	return nil
}

// Run brings every service to its recorded state, then serves and watches
// until ctx ends. It returns nil after such an end.
func (g *Guard) Run(ctx context.Context) error {
	unhook := context.AfterFunc(ctx, func() { g.stop(errClosing) })
	defer unhook()
	g.mu.Lock()
	for _, s := range g.services {
		g.begin(s)
	}
	g.mu.Unlock()
	err := g.serve(g.ctx)
	g.stop(errClosing)
	g.busy.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// begin starts a service's owner. Its first task reconciles; whoever comes
// meanwhile waits for that.
func (g *Guard) begin(s *service) {
	if s.broken == nil {
		s.begin("reconcile", true, s.reconcile)
	}
	g.busy.Go(s.run)
}

// service finds one that the host knows.
func (g *Guard) service(name string) (*service, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.services[strings.ToLower(name)]
	if s == nil {
		return nil, rpc.Errorf(rpc.CodeNotFound, "deploy it first", "service %s is not known on this host", name)
	}
	if s.name != name {
		return nil, rpc.Errorf(rpc.CodeConflict, "use one spelling", "service %s is called %s on this host", name, s.name)
	}
	return s, nil
}

// ensure is service, for a first session.
func (g *Guard) ensure(name string) (*service, error) {
	s, err := g.service(name)
	if rpc.CodeOf(err) != rpc.CodeNotFound {
		return s, err
	}
	if err := acl.EnsureRoot(g.opts.Layout.Service(name)); err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	key := strings.ToLower(name)
	if g.services[key] == nil {
		s := newService(g, name)
		s.st.Service, s.st.Machine, s.st.Boot = name, g.machine, g.boot
		g.services[key] = s
		g.busy.Go(s.run)
	}
	return g.services[key], nil
}

func (g *Guard) forget(s *service) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.services, strings.ToLower(s.name))
}

func (g *Guard) names() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := []string{}
	for _, s := range g.services {
		out = append(out, s.name)
	}
	slices.Sort(out)
	return out
}

func (g *Guard) now() time.Time { return g.opts.Clock.Now() }

func (g *Guard) log() *slog.Logger { return g.opts.Log }

// errSlow ends a wait for a program that does not answer.
var errSlow = errors.New("no answer in time")

// within is ctx with an end after d by the guard's clock.
func (g *Guard) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := g.opts.Clock.At(g.now().Add(d))
	go func() {
		select {
		case <-late:
			cancel(errSlow)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

func (g *Guard) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-g.opts.Clock.At(g.now().Add(d)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
