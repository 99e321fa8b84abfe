package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/rollout"
)

// lease renews the session of every host, each on a connection of its own, so
// that a long push or a slow start never costs the lock.
type lease struct {
	p     *Pipeline
	run   string
	ttl   time.Duration
	event func(rollout.Event)
}

// hold renews until ctx ends. A refused renewal, or none for a whole TTL,
// means the host has taken itself back: HostLost, once.
func (l lease) hold(ctx context.Context, f fleet) {
	_ = f.each(ctx, func(ctx context.Context, h *host) error {
		own := &host{Host: h.Host, p: h.p, fence: h.fence}
		defer own.drop()
		if err := l.renew(ctx, own); err != nil && ctx.Err() == nil {
			l.event(rollout.HostLost{Host: h.Name, Err: err})
		}
		return nil
	})
}

func (l lease) renew(ctx context.Context, h *host) error {
	tick := time.NewTicker(l.ttl / 6)
	defer tick.Stop()
	heard := l.p.Now()
	for {
		err := l.once(ctx, h)
		var refused *rpc.Error
		switch {
		case err == nil:
			heard = l.p.Now()
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &refused):
			return fmt.Errorf("renew lease: %w", err)
		case l.p.Now().Sub(heard) > l.ttl:
			return fmt.Errorf("renew lease: not heard for %s: %w", l.ttl, err)
		default:
			h.drop()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// once is one renewal within a third of the TTL; what others asked becomes events.
func (l lease) once(ctx context.Context, h *host) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/3)
	defer cancel()
	var reply rpc.Renewed
	err := h.try(ctx, func(c *rpc.Client) (err error) {
		reply, err = c.Renew(ctx, rpc.Fenced{Service: l.p.Target.Service.Name, Run: l.run, Fence: h.fence})
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range reply.Requests {
		l.event(rollout.Asked{Kind: a.Kind, By: a.By})
	}
	return nil
}
