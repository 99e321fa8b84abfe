package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// lease renews the sessions of a run from its first lock to its end. What the
// hosts say meanwhile becomes events: requests of others, and the loss of a
// host.
type lease struct {
	p      *Pipeline
	run    string
	ttl    time.Duration
	events chan rollout.Event
}

// hold begins to renew; stop ends it.
func (p *Pipeline) hold(ctx context.Context, f fleet, run string) (l *lease, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	l = &lease{p: p, run: run, ttl: p.Target.Rollback.Lease, events: make(chan rollout.Event, 64)}
	var work sync.WaitGroup
	for _, h := range f {
		work.Go(func() {
			if err := l.keep(ctx, h); err != nil && ctx.Err() == nil {
				l.tell(ctx, rollout.HostLost{Host: h.Name, Err: err})
			}
		})
	}
	return l, func() { cancel(); work.Wait() }
}

func (l *lease) tell(ctx context.Context, ev rollout.Event) {
	select {
	case l.events <- ev:
	case <-ctx.Done():
	}
}

// keep renews one host's lease until ctx ends, first when a sixth of it is
// over: a run that ended before needs neither a renewal nor a connection for
// it. A refused renewal, or none for a whole TTL, means that the host has
// taken itself back.
func (l *lease) keep(ctx context.Context, main *host) error {
	own := &line{host: newHost(main.p, main.Host)}
	defer own.close()
	heard := main.since()
	due := time.NewTimer(l.ttl/6 - l.p.Now().Sub(heard))
	defer due.Stop()
	me := main.fenced(l.run)
	denied := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due.C:
			due.Reset(l.ttl / 6)
		}
		asked := l.p.Now()
		err := l.once(ctx, own.or(ctx, main), &me)
		var refused *rpc.Error
		switch {
		case err == nil:
			heard, denied = l.p.Now(), false
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused) && refused.Code == rpc.CodeFenced && main.regain(ctx, me):
			me.Fence, heard = main.fenced(l.run).Fence, l.p.Now()
		case errors.As(err, &refused) && refused.Code == rpc.CodeFenced && main.parks():
			return nil // it freed the session, and its answer is on the way
		case errors.As(err, &refused):
			return fmt.Errorf("renew lease: %w", err)
		case asked.Sub(heard) > l.ttl: // one that slept in the middle of a call asks once more, and hears why
			return fmt.Errorf("renew lease: not heard for %s: %w", l.ttl, err)
		default:
			own.drop()
			denied = l.pauseIfDenied(ctx, main, err, denied)
		}
	}
}

// pauseIfDenied pauses a run one of whose hosts refuses the credentials: they
// were changed in the middle of it. They are read again for each logon, so a
// run that got the new ones in time can go on; without them the host takes
// itself back when its lease ends, for which it asks nobody.
func (l *lease) pauseIfDenied(ctx context.Context, h *host, err error, already bool) (denied bool) {
	var t *transport.Error
	if !errors.As(err, &t) || t.Kind != transport.Denied {
		return already
	}
	if !already {
		l.tell(ctx, rollout.Asked{Kind: rollout.AskPause, By: h.Name + ", which refuses the credentials (set them right, then `shipper resume`)"})
	}
	return true
}

// once is one renewal within a third of the TTL; what others asked becomes
// events, each once: me remembers the last one, whatever connection brought it.
func (l *lease) once(ctx context.Context, h *host, me *rpc.Fenced) error {
	limited, cancel := context.WithTimeout(ctx, l.ttl/3)
	defer cancel()
	var reply rpc.Renewed
	err := h.try(limited, func(c *rpc.Client) (err error) {
		reply, err = c.Renew(limited, *me)
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range reply.Requests {
		me.Seen = a.Seq
		l.tell(ctx, rollout.Asked{Kind: a.Kind, By: a.By})
	}
	return nil
}

// line is a connection of its own, so that a long push or a slow start never
// costs the lock. While it is being made, and made anew, the run's main
// connection serves.
type line struct {
	host *host

	mu      sync.Mutex
	dialing bool
	up      bool
	work    sync.WaitGroup
}

// or gives the own connection, or main until there is one.
func (l *line) or(ctx context.Context, main *host) *host {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		return l.host
	}
	if !l.dialing {
		l.dialing = true
		l.work.Go(func() { l.dial(ctx) })
	}
	return main
}

func (l *line) dial(ctx context.Context) {
	err := l.host.connect(ctx, false)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialing, l.up = false, err == nil
}

func (l *line) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		l.up = false
		l.host.giveUp()
	}
}

func (l *line) close() {
	l.work.Wait()
	l.host.drop()
}
