package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/transport"
)

// maxParallel bounds how many hosts are worked on at a time: nearly all of
// it is waiting for them.
const maxParallel = 256

// fleet is all hosts of the target, in name order.
type fleet []*host

func (p *Pipeline) fleet() fleet {
	var f fleet
	for _, h := range p.Target.Hosts {
		f = append(f, newHost(p, h))
	}
	slices.SortFunc(f, func(a, b *host) int { return strings.Compare(a.Name, b.Name) })
	return f
}

// connect reaches every host or says which it could not. The first host goes
// alone: a wrong password must not lock the account on all of them.
func (f fleet) connect(ctx context.Context, install bool) error {
	if len(f) == 0 {
		return nil
	}
	connect := func(ctx context.Context, h *host) error { return h.reach(ctx, install) }
	if err := f[:1].each(ctx, connect); err != nil {
		return reachProblem(err)
	}
	return reachProblem(f[1:].each(ctx, connect))
}

// each runs fn for all hosts, maxParallel side by side, and joins the errors
// in name order. It is for what ends: all is for what lasts.
func (f fleet) each(ctx context.Context, fn func(context.Context, *host) error) error {
	return f.few(ctx, 0, fn)
}

// few is each with a limit of its own; 0: none.
func (f fleet) few(ctx context.Context, limit int, fn func(context.Context, *host) error) error {
	if limit <= 0 || limit > maxParallel {
		limit = maxParallel
	}
	slots := make(chan struct{}, limit)
	return f.all(ctx, func(ctx context.Context, h *host) error {
		slots <- struct{}{}
		defer func() { <-slots }()
		return fn(ctx, h)
	})
}

// all runs fn for all hosts at once and joins the errors in name order.
func (f fleet) all(ctx context.Context, fn func(context.Context, *host) error) error {
	errs := make([]error, len(f))
	var wg sync.WaitGroup
	for i, h := range f {
		wg.Go(func() {
			if err := fn(ctx, h); err != nil {
				errs[i] = &hostError{Host: h.Name, Err: err}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (f fleet) close() {
	_ = f.each(context.Background(), func(_ context.Context, h *host) error {
		h.drop()
		return nil
	})
}

func (f fleet) names() []string {
	var names []string
	for _, h := range f {
		names = append(names, h.Name)
	}
	return names
}

func (f fleet) byName(name string) *host {
	for _, h := range f {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// hostError says on which host something failed.
type hostError struct {
	Host string
	Err  error
}

func (e *hostError) Error() string { return e.Host + ": " + e.Err.Error() }
func (e *hostError) Unwrap() error { return e.Err }

// reachProblem turns failures to connect into exit 7 with the transport's hint.
func reachProblem(err error) error {
	if err == nil {
		return nil
	}
	var p *problem.Error
	if errors.As(err, &p) {
		return err
	}
	hint := "check that the host is up and that WinRM listens there"
	var t *transport.Error
	if errors.As(err, &t) && t.Hint != "" {
		hint = t.Hint
	}
	var r *rpc.Error
	if errors.As(err, &r) {
		return remoteProblem(err, "connect")
	}
	return problem.Wrap(problem.Unreachable, err, "connect", hint)
}

// remoteProblem gives what a guard refused its kind, and what the wire lost too.
func remoteProblem(err error, what string) error {
	var p *problem.Error
	if err == nil || errors.As(err, &p) {
		return err
	}
	var r *rpc.Error
	if !errors.As(err, &r) {
		return problem.Wrap(problem.Unreachable, err, what, "run `shipper status` to see how the hosts stand")
	}
	kind, hint := problem.Failed, r.Hint
	switch r.Code {
	case rpc.CodeLocked:
		kind = problem.Locked
		hint = cmpHint(hint, lockHint(r.Session))
	case rpc.CodeFenced:
		hint = cmpHint(hint, "another run took over; `shipper status` tells how the hosts stand")
	case rpc.CodeVerification:
		kind = problem.Verification
	case rpc.CodeProtocol:
		kind = problem.Usage
		hint = cmpHint(hint, "upgrade shipper")
	case rpc.CodeDenied:
		kind = problem.Unreachable
	}
	return problem.Wrap(kind, err, what, hint)
}

func cmpHint(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func lockHint(s *rpc.Session) string {
	if s == nil {
		return "`shipper lock status` tells who holds the lock"
	}
	if s.Manual {
		return "`shipper lock release` ends the freeze"
	}
	return fmt.Sprintf("wait for run %s, or end it with `shipper abort`; its lease ends by itself %s after its controller is gone", s.Run, s.TTL)
}
