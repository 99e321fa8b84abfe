package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

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
		if err := os.RemoveAll(s.g.opts.Layout.Service(s.name)); err != nil {
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
	for _, slot := range release.Slots() {
		if err := s.halt(ctx, slot); err != nil {
			return err
		}
		if err := s.g.opts.SCM.Delete(ctx, slot.Service(s.name)); err != nil && !errors.Is(err, scm.ErrNotFound) {
			return err
		}
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

func (g *Guard) hasRouter(ctx context.Context) bool {
	status, err := g.opts.SCM.Status(ctx, routerService)
	return err != nil || status.State != scm.Absent
}

// lastOneOut removes what all services shared, once there is none: the
// router, its folder, the releases' roots. The guard's own service, folder and
// executable remain for those who uninstall the helper.
func (g *Guard) lastOneOut(ctx context.Context) error {
	if len(g.names()) > 0 || !g.hasRouter(ctx) {
		return nil
	}
	if err := g.opts.SCM.Stop(ctx, routerService, 40*time.Second); err != nil && !errors.Is(err, scm.ErrNotFound) {
		return err
	}
	if err := g.opts.SCM.Delete(ctx, routerService); err != nil && !errors.Is(err, scm.ErrNotFound) {
		return err
	}
	if err := os.RemoveAll(g.opts.Layout.Router()); err != nil {
		return fmt.Errorf("remove the router's folder: %w", err)
	}
	return nil
}
