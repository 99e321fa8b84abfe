package host

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
)

// The router is two services: one serves, and when it is to be started anew
// or upgraded, the other takes over from it.
const (
	routerA = "shipper-router-a"
	routerB = "shipper-router-b"
)

const (
	// routerAccount has no rights over services.
	routerAccount = `NT AUTHORITY\LocalService`
	// routerStart bounds the start of a router, a hand-over included.
	routerStart = 30 * time.Second
	routerPoll  = 50 * time.Millisecond
	// routerMargin is what a router may take to stop beyond the drain timeout.
	routerMargin = 10 * time.Second
)

// RouterAccounts are the identities of the two services.
func RouterAccounts() []string {
	return []string{`NT SERVICE\` + routerA, `NT SERVICE\` + routerB}
}

func routerService(short string) string { return "shipper-router-" + short }

func otherRouter(name string) string {
	if name == routerA {
		return routerB
	}
	return routerA
}

// needRouter makes sure that a router serves. One that does is left alone: it
// serves others as well.
func (s *service) needRouter(ctx context.Context, t rpc.TrafficConfig) error {
	if t.Router != "embedded" {
		return nil
	}
	return s.g.ensureRouter(ctx, t.DrainTimeout)
}

func (g *Guard) ensureRouter(ctx context.Context, drain time.Duration) error {
	g.routerLock <- struct{}{}
	defer func() { <-g.routerLock }()
	name, err := g.routerThatStarts(ctx)
	if err != nil {
		return err
	}
	status, err := g.opts.SCM.Status(ctx, name)
	if err != nil {
		return err
	}
	if status.State == scm.Absent {
		if err := g.createRouter(ctx, g.routerSpec(name, g.opts.Executable, drain)); err != nil {
			return err
		}
	}
	if err := g.awaitRouter(ctx, name); err != nil {
		return err
	}
	return errors.Join(g.giveTime(ctx, drain), g.settleRouters(ctx))
}

// giveTime lets both routers stop as late as a service wants whose drain is
// longer than those before. None starts anew for it, and no time gets shorter.
func (g *Guard) giveTime(ctx context.Context, drain time.Duration) error {
	for _, name := range []string{routerA, routerB} {
		spec, err := g.opts.SCM.Spec(ctx, name)
		if errors.Is(err, scm.ErrNotFound) || err == nil && spec.StopTimeout >= drain+routerMargin {
			continue
		}
		if err != nil {
			return err
		}
		spec.StopTimeout, spec.PreshutdownTimeout = drain+routerMargin, drain+routerMargin
		if err := g.opts.SCM.Ensure(ctx, spec); err != nil {
			return fmt.Errorf("give %s more time to stop: %w", name, err)
		}
	}
	return nil
}

// routerThatStarts names the one that serves, or would after a boot.
func (g *Guard) routerThatStarts(ctx context.Context) (string, error) {
	for _, name := range []string{routerA, routerB} {
		spec, err := g.opts.SCM.Spec(ctx, name)
		if errors.Is(err, scm.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		if spec.Start == scm.Auto {
			return name, nil
		}
	}
	return routerA, nil
}

// settleRouters lets the router that serves start at boot and after a crash,
// and the other one not: a guard that ended after a hand-over left it undone.
func (g *Guard) settleRouters(ctx context.Context) error {
	self, err := g.opts.Router.Self(ctx)
	if errors.Is(err, router.ErrNotFound) { // one of the first version: it has no other
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask the router: %w", err)
	}
	if self.Name == "" {
		return nil
	}
	name := routerService(self.Name)
	return errors.Join(g.tuneRouter(ctx, name, true), g.tuneRouter(ctx, otherRouter(name), false))
}

func (g *Guard) tuneRouter(ctx context.Context, name string, serves bool) error {
	spec, err := g.opts.SCM.Spec(ctx, name)
	if errors.Is(err, scm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	start, recovery := scm.Manual, []time.Duration(nil)
	if serves {
		start, recovery = scm.Auto, routerRecovery()
	}
	if spec.Start == start {
		return nil
	}
	spec.Start, spec.Recovery = start, recovery
	return g.opts.SCM.Ensure(ctx, spec)
}

func routerRecovery() []time.Duration {
	return []time.Duration{time.Second, time.Second, 5 * time.Second}
}

func (g *Guard) routerSpec(name, exe string, drain time.Duration) scm.Spec {
	short := name[len(name)-1:]
	return scm.Spec{
		Name: name, DisplayName: "shipper router " + short,
		Description: "Serves the public addresses of the services that shipper releases. Of the two routers one serves at a time.",
		Executable:  exe, Args: append([]string{"router", short}, g.opts.Args...), Dir: g.opts.Layout.Router(),
		Account: routerAccount, Start: scm.Auto, Recovery: routerRecovery(), ResetPeriod: time.Hour,
		StopTimeout: drain + routerMargin, PreshutdownTimeout: drain + routerMargin,
	}
}

func (g *Guard) createRouter(ctx context.Context, spec scm.Spec) error {
	if err := acl.EnsureRoot(spec.Dir, routerAccount); err != nil {
		return err
	}
	if err := g.opts.SCM.Ensure(ctx, spec); err != nil {
		return err
	}
	// To the services alone: half of Windows runs under the routers' account.
	for _, account := range RouterAccounts() {
		if err := acl.Grant(spec.Dir, account, acl.Modify); err != nil {
			return err
		}
	}
	return acl.Grant(filepath.Dir(spec.Executable), routerAccount, acl.Read)
}

// followRouter lets the other router, run by exe, take over from the one that
// serves. If it fails, that one goes on.
func (g *Guard) followRouter(ctx context.Context, exe string) error {
	self, err := g.opts.Router.Self(ctx)
	if err != nil {
		return fmt.Errorf("ask the router: %w", err)
	}
	if self.Name == "" {
		return rpc.Errorf(rpc.CodeUnsupported, "", "the router that serves cannot hand over")
	}
	now := routerService(self.Name)
	next := otherRouter(now)
	spec, err := g.opts.SCM.Spec(ctx, now)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, spec.StopTimeout+routerStart, errSlow)
	defer cancel()
	if err := g.routerRests(ctx, next); err != nil {
		return fmt.Errorf("%s still finishes requests of before: %w", next, err)
	}
	if exe == "" {
		exe = spec.Executable
	}
	want := g.routerSpec(next, exe, max(spec.StopTimeout-routerMargin, g.longestDrain()))
	want.Start, want.Recovery = scm.Manual, nil
	if err := g.createRouter(ctx, want); err != nil {
		return err
	}
	if err := g.opts.SCM.Start(ctx, next); err != nil {
		return fmt.Errorf("start %s: %w", next, err)
	}
	if err := g.routerServes(ctx, next); err != nil {
		return err
	}
	return g.settleRouters(ctx)
}

func (g *Guard) routerRests(ctx context.Context, name string) error {
	for {
		status, err := g.opts.SCM.Status(ctx, name)
		if err != nil || status.State == scm.Stopped || status.State == scm.Absent {
			return err
		}
		if err := g.sleep(ctx, routerPoll); err != nil {
			return err
		}
	}
}

func (g *Guard) routerServes(ctx context.Context, name string) error {
	for {
		self, err := g.opts.Router.Self(ctx)
		if err == nil && routerService(self.Name) == name {
			return nil
		}
		status, err := g.opts.SCM.Status(ctx, name)
		if err != nil {
			return err
		}
		if status.State == scm.Stopped {
			if err := g.awaitRouter(ctx, otherRouter(name)); err != nil {
				return err
			}
			log := filepath.Join(g.opts.Layout.Router(), "router-"+name[len(name)-1:]+".log")
			return rpc.Errorf(rpc.CodeFailed, "look into "+log,
				"%s ended with exit code %d and did not take over; the router before serves on%s", name, status.Exit, lastWordsIn(log))
		}
		if err := g.sleep(ctx, routerPoll); err != nil {
			return errors.Join(err, g.opts.SCM.Stop(context.WithoutCancel(ctx), name, routerMargin))
		}
	}
}

// longestDrain is that of all services.
func (g *Guard) longestDrain() (longest time.Duration) {
	g.mu.Lock()
	services := make([]*service, 0, len(g.services))
	for _, s := range g.services {
		services = append(services, s)
	}
	g.mu.Unlock()
	for _, s := range services {
		s.tell(func() { longest = max(longest, s.st.Traffic.DrainTimeout) })
	}
	return longest
}

// hasRouter reports whether there is any router on this host.
func (g *Guard) hasRouter(ctx context.Context) bool {
	for _, name := range []string{routerA, routerB} {
		if status, err := g.opts.SCM.Status(ctx, name); err != nil || status.State != scm.Absent {
			return true
		}
	}
	return false
}

// removeRouters stops and deletes both, and their folder.
func (g *Guard) removeRouters(ctx context.Context) error {
	for _, name := range []string{routerA, routerB} {
		if err := g.opts.SCM.Stop(ctx, name, 40*time.Second); err != nil && !errors.Is(err, scm.ErrNotFound) {
			return err
		}
		if err := g.opts.SCM.Delete(ctx, name); err != nil && !errors.Is(err, scm.ErrNotFound) {
			return err
		}
	}
	if err := acl.RemoveAll(g.opts.Layout.Router()); err != nil {
		return fmt.Errorf("remove the router's folder: %w", err)
	}
	return nil
}
