package host

import (
	"context"
	"io"
	"runtime"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/store"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

// handlers wires the protocol's methods to the services.
func (g *Guard) handlers() *rpc.Handlers {
	h := &rpc.Handlers{Hello: g.hello, Put: g.put}
	rpc.Handle(h, rpc.MethodList, func(context.Context, struct{}) ([]string, error) { return g.names(), nil })
	rpc.Handle(h, rpc.MethodStatus, g.status)
	rpc.Handle(h, rpc.MethodReady, func(context.Context, struct{}) (rpc.Readiness, error) { return g.opts.Ready(), nil })
	rpc.Handle(h, rpc.MethodAcquire, g.acquire)
	rpc.Handle(h, rpc.MethodHave, g.have)
	rpc.Handle(h, rpc.MethodPull, g.pull)
	rpc.HandleQuiet(h, rpc.MethodInstall, g.install)
	rpc.HandleQuiet(h, rpc.MethodAppend, g.append)
	rpc.Handle(h, rpc.MethodRead, g.read)
	rpc.Handle(h, rpc.MethodLogs, g.logs)
	rpc.HandleQuiet(h, rpc.MethodFreeze, g.freeze)
	rpc.HandleQuiet(h, rpc.MethodForgetKeys, g.forgetKeys)
	rpc.HandleQuiet(h, rpc.MethodRequest, func(ctx context.Context, p rpc.Ask) error {
		return g.owned(ctx, p.Service, func(s *service) error { return s.ask(p) })
	})
	rpc.Handle(h, rpc.MethodRenew, func(ctx context.Context, p rpc.Fenced) (r rpc.Renewed, err error) {
		err = g.owned(ctx, p.Service, func(s *service) error { r, err = s.renew(p); return err })
		return r, err
	})
	rpc.HandleQuiet(h, rpc.MethodReleaseSession, quiet(g, func(p rpc.Ended) string { return p.Service }, (*service).release))
	rpc.HandleQuiet(h, rpc.MethodPrepare, quiet(g, func(p rpc.Fenced) string { return p.Service }, (*service).prepare))
	rpc.HandleQuiet(h, rpc.MethodPark, quiet(g, func(p rpc.Park) string { return p.Service }, (*service).park))
	rpc.HandleQuiet(h, rpc.MethodRemove, g.remove)
	rpc.Handle(h, rpc.MethodRouter, g.changeRouter)
	rpc.HandleQuiet(h, rpc.MethodKeep, quiet(g, func(p rpc.Start) string { return p.Service }, (*service).keepFor))
	rpc.Handle(h, rpc.MethodHook, to(g, func(p rpc.Hook) string { return p.Service }, (*service).hook))
	rpc.Handle(h, rpc.MethodStart, to(g, func(p rpc.Start) string { return p.Service }, (*service).start))
	rpc.Handle(h, rpc.MethodReplace, to(g, func(p rpc.Start) string { return p.Service }, (*service).replaceStable))
	rpc.Handle(h, rpc.MethodCheck, to(g, func(p rpc.Check) string { return p.Service }, (*service).check))
	rpc.Handle(h, rpc.MethodTraffic, to(g, func(p rpc.SetTraffic) string { return p.Service }, (*service).setTraffic))
	rpc.Handle(h, rpc.MethodHold, to(g, func(p rpc.Hold) string { return p.Service }, (*service).hold))
	rpc.Handle(h, rpc.MethodCommit, to(g, func(p rpc.Commit) string { return p.Service }, (*service).commit))
	rpc.Handle(h, rpc.MethodUndo, to(g, func(p rpc.Undo) string { return p.Service }, (*service).undo))
	rpc.Handle(h, rpc.MethodRollback, to(g, func(p rpc.Rollback) string { return p.Service }, (*service).rollback))
	rpc.Handle(h, rpc.MethodInspect, to(g, func(p rpc.Inspect) string { return p.Service }, (*service).inspect))
	rpc.Handle(h, rpc.MethodRehearse, to(g, func(p rpc.Rehearse) string { return p.Service }, (*service).rehearse))
	rpc.Handle(h, rpc.MethodPrune, to(g, func(p rpc.Prune) string { return p.Service }, (*service).prune))
	rpc.Handle(h, rpc.MethodCounters, func(ctx context.Context, p rpc.ServiceRef) (rpc.Counters, error) {
		s, err := g.service(p.Service)
		if err != nil {
			return rpc.Counters{}, err
		}
		return s.counters(ctx, p.Usage)
	})
	return h
}

// to sends a call to the service that it names.
func to[P, R any](g *Guard, name func(P) string, f func(*service, context.Context, P) (R, error)) func(context.Context, P) (R, error) {
	return func(ctx context.Context, p P) (R, error) {
		s, err := g.service(name(p))
		if err != nil {
			var none R
			return none, err
		}
		return f(s, ctx, p)
	}
}

func quiet[P any](g *Guard, name func(P) string, f func(*service, context.Context, P) error) func(context.Context, P) error {
	return func(ctx context.Context, p P) error {
		s, err := g.service(name(p))
		if err != nil {
			return err
		}
		return f(s, ctx, p)
	}
}

// owned runs f as the owner of the service.
func (g *Guard) owned(ctx context.Context, name string, f func(*service) error) error {
	s, err := g.service(name)
	if err != nil {
		return err
	}
	return s.do(ctx, func() error { return f(s) })
}

func (g *Guard) hello(_ context.Context, p rpc.Hello) (rpc.HelloReply, error) {
	if p.Protocol < rpc.Protocol {
		return rpc.HelloReply{}, rpc.Errorf(rpc.CodeProtocol, "upgrade shipper",
			"the guard of this host speaks protocol %d, this shipper only %d", rpc.Protocol, p.Protocol)
	}
	r := rpc.HelloReply{
		Protocol: rpc.Protocol, Version: g.opts.Version, Helper: g.helper, Machine: g.machine, Boot: g.boot,
		Hostname: g.hostname, OS: runtime.GOOS, Arch: runtime.GOARCH, Time: g.now(),
	}
	free, err := store.Free(g.opts.Layout.Programs)
	r.DiskFree = free
	return r, err
}

func (g *Guard) status(ctx context.Context, p rpc.ServiceRef) (rpc.ServiceStatus, error) {
	s, err := g.service(p.Service)
	if rpc.CodeOf(err) == rpc.CodeNotFound {
		return rpc.ServiceStatus{Service: p.Service}, nil
	}
	if err != nil {
		return rpc.ServiceStatus{}, err
	}
	return s.status(ctx)
}

func (g *Guard) acquire(ctx context.Context, p rpc.Acquire) (rpc.Session, error) {
	if err := checkAcquire(p); err != nil {
		return rpc.Session{}, err
	}
	s, err := g.ensure(p.Service)
	if err != nil {
		return rpc.Session{}, err
	}
	p.Account, p.Client = callerOf(ctx).Account, callerOf(ctx).Address
	for {
		var view rpc.Session
		var wait *task
		err := s.do(ctx, func() (err error) {
			view, wait, err = s.acquire(p)
			return err
		})
		if err != nil || wait == nil {
			return view, err
		}
		select {
		case <-wait.done:
		case <-ctx.Done():
			return view, context.Cause(ctx)
		}
	}
}

func checkAcquire(p rpc.Acquire) error {
	if p.Environment == "" || p.Owner == "" || len(p.Environment)+len(p.Owner)+len(p.Address)+len(p.Message) > 4096 {
		return rpc.Errorf(rpc.CodeFailed, "", "acquire: environment and owner are needed, and short")
	}
	return checkRun(p.Run)
}

// have tells what is missing and, where a port is named, who has that.
func (g *Guard) have(ctx context.Context, p rpc.Have) (rpc.HaveReply, error) {
	reply, err := g.missing(ctx, p)
	if err != nil || p.Port == 0 {
		return reply, err
	}
	if reply.Owner, err = scm.PortOwner(p.Port); err != nil {
		g.log().Warn("the owner of a port is not known", "port", p.Port, "error", err)
	}
	return reply, nil
}

// missing also offers bases for deltas: first of the release that is stable, then
// of the others in the order in which they were committed last.
func (g *Guard) missing(ctx context.Context, p rpc.Have) (rpc.HaveReply, error) {
	reply, err := g.store.Have(p.Digests)
	if err != nil || len(reply.Missing) == 0 || p.Service == "" {
		return reply, err
	}
	s, err := g.service(p.Service)
	if rpc.CodeOf(err) == rpc.CodeNotFound {
		return reply, nil
	}
	if err != nil {
		return reply, err
	}
	var order []release.Release
	s.tell(func() {
		order = append(order, s.st.Slots[s.st.Stable].Release)
		for _, r := range s.st.Retained {
			order = append(order, r.Release)
		}
	})
	reply.Bases, err = g.store.Bases(ctx, p.Service, order, p.Paths)
	return reply, err
}

// put takes contents for any run that holds its session; they are shared by
// digest among all services.
func (g *Guard) put(ctx context.Context, p rpc.Put, r io.Reader) (rpc.PutReply, error) {
	err := g.owned(ctx, p.Service, func(s *service) error {
		return s.holds(rpc.Fenced{Service: p.Service, Run: p.Run, Fence: p.Fence})
	})
	if err != nil {
		return rpc.PutReply{}, err
	}
	return g.store.Put(ctx, p, r)
}

func (g *Guard) install(ctx context.Context, p rpc.Install) error {
	s, err := g.service(p.Service)
	if err != nil {
		return err
	}
	if !p.Release.Holds(p.Files, p.Targets) {
		return rpc.Errorf(rpc.CodeVerification, "build the bundle again, or fetch it again from where it came",
			"the files that were sent are not those of release %s", p.Release)
	}
	admit := func() error { return s.holds(p.Fenced) }
	return s.work(ctx, order{name: "install", admit: admit}, func(ctx context.Context) error {
		if err := s.do(ctx, func() error { return s.vouch(p) }); err != nil {
			return err
		}
		if err := g.store.Install(ctx, s.name, p.Release, p.Files); err != nil || len(p.Attestation) == 0 {
			return err
		}
		return g.store.KeepAttestation(s.name, p.Release, p.Attestation)
	})
}

func (g *Guard) append(ctx context.Context, p rpc.Append) error {
	s, err := g.service(p.Service)
	if err != nil {
		return err
	}
	if err := checkRun(p.Run); err != nil {
		return err
	}
	if err := s.diary.append(p.Run, p.Records); err != nil {
		return err
	}
	s.announce(p.Records...)
	if who := callerOf(ctx); who.Account != "" && s.diary.acts(p.Run, who) {
		s.record(p.Run, journal.TypeSession, journal.Note{Text: "acts on this host as " + who.String()})
	}
	return nil
}

func (g *Guard) read(_ context.Context, p rpc.Read) ([]journal.Record, error) {
	s, err := g.service(p.Service)
	if err != nil {
		return nil, err
	}
	return s.diary.Read(p.Run)
}

func (g *Guard) logs(ctx context.Context, p rpc.Logs) (rpc.LogsReply, error) {
	s, err := g.service(p.Service)
	if err != nil {
		return rpc.LogsReply{}, err
	}
	if p.Failed {
		return s.readAutopsy(p)
	}
	slot := p.Slot
	err = s.do(ctx, func() error {
		if slot == "" {
			slot = s.st.Stable
		}
		return nil
	})
	if err != nil {
		return rpc.LogsReply{}, err
	}
	if slot != release.Blue && slot != release.Green {
		return rpc.LogsReply{}, rpc.Errorf(rpc.CodeNotFound, "name a slot: blue or green", "%s has no stable slot on this host", p.Service)
	}
	return s.readLog(slot, p)
}

func (g *Guard) freeze(ctx context.Context, p rpc.Freeze) error {
	return g.owned(ctx, p.Service, func(s *service) error {
		if s.broken != nil {
			return s.broken
		}
		why := ""
		if !p.Thaw {
			why = "by " + p.By
			if p.Message != "" {
				why = p.Message + " (" + p.By + ")"
			}
		}
		return s.change(func(st *state) { st.Frozen = why })
	})
}

// remove is done when nothing is known any more: a repeated call finds that.
func (g *Guard) remove(ctx context.Context, p rpc.Remove) error {
	s, err := g.service(p.Service)
	if rpc.CodeOf(err) == rpc.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	return s.remove(ctx, p)
}
