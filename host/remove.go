package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// remove takes a service off the host: route, slots, releases, records. The
// order is such that a call that was cut can be repeated: the session goes last.
func (s *service) remove(ctx context.Context, p rpc.Remove) error {
	admit := func() error { return s.holds(p.Fenced) }
	return s.work(ctx, order{name: "remove", admit: admit, keep: true}, func(ctx context.Context) error {
		if err := s.dismantle(ctx); err != nil {
			return err
		}
		if err := acl.RemoveAll(s.g.opts.Layout.Service(s.name)); err != nil {
			return fmt.Errorf("remove the service's folder: %w", err)
		}
		s.g.forget(s)
		s.quit()
		return s.g.lastOneOut(ctx)
	})
}

func (s *service) dismantle(ctx context.Context) error {
	if err := s.dropRoute(ctx); err != nil {
		return err
	}
	rule := false
	s.tell(func() { rule = s.st.Firewall })
	if rule {
		if err := s.closePort(ctx); err != nil {
			return err
		}
	}
	for _, slot := range release.Slots() {
		if err := s.halt(ctx, slot); err != nil {
			return err
		}
		if err := s.g.opts.SCM.Delete(ctx, slot.Service(s.name)); err != nil && !errors.Is(err, scm.ErrNotFound) {
			return err
		}
	}
	err := errors.Join(s.g.opts.SCM.Stop(ctx, s.hookName(), stopMargin), s.g.opts.SCM.Delete(ctx, s.hookName()))
	if err != nil && !errors.Is(err, scm.ErrNotFound) {
		return err
	}
	return s.g.store.RemoveService(s.name)
}

func (s *service) dropRoute(ctx context.Context) error {
	for range 5 {
		view, err := s.g.opts.Router.Get(ctx, s.name)
		if errors.Is(err, router.ErrNotFound) {
			return nil
		}
		if errors.Is(err, router.ErrUnavailable) && !s.g.hasRouter(ctx) {
			return nil
		}
		if err != nil {
			return err
		}
		err = s.g.opts.Router.Delete(ctx, s.name, view.Generation)
		if !errors.Is(err, router.ErrStale) {
			return err
		}
	}
	return fmt.Errorf("remove the route of %s: it keeps changing", s.name)
}

// lastOneOut removes what all services shared, once there is none: the
// router and its folder. The guard itself cannot go while it runs: Uninstall.
// The router's lock makes a service that comes meanwhile wait, and start anew
// what went.
func (g *Guard) lastOneOut(ctx context.Context) error {
	g.routerLock <- struct{}{}
	defer func() { <-g.routerLock }()
	if len(g.names()) > 0 || !g.hasRouter(ctx) {
		return nil
	}
	return g.removeRouters(ctx)
}

// Uninstall takes the guard and all folders off a host on which no service is
// left; it must not be called by the guard itself. guard names its service, m
// may be nil where it is a plain process. On Windows the executable that calls
// this stays, because it runs: left is its folder, for whoever started it.
func Uninstall(ctx context.Context, l Layout, m scm.Manager, guard string) (left string, err error) {
	if states, _ := filepath.Glob(filepath.Join(l.Data, "*", "state.json")); len(states) > 0 {
		return "", rpc.Errorf(rpc.CodeConflict, "remove the services first", "%s still has a service: %s", l.Data, states[0])
	}
	if m != nil {
		if err := m.Stop(ctx, guard, time.Minute); err != nil && !errors.Is(err, scm.ErrNotFound) {
			return "", err
		}
		if err := m.Delete(ctx, guard); err != nil && !errors.Is(err, scm.ErrNotFound) {
			return "", err
		}
	}
	if err := acl.RemoveAll(l.Data); err != nil {
		return "", fmt.Errorf("remove data: %w", err)
	}
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find own executable: %w", err)
	}
	err = acl.RemoveAll(l.Programs)
	if _, gone := os.Lstat(own); err != nil && gone == nil && strings.HasPrefix(own, l.Programs) {
		return filepath.Dir(own), nil
	}
	if err != nil {
		return "", fmt.Errorf("remove programs: %w", err)
	}
	return "", nil
}
