package host

import (
	"context"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

// holding is a wish of the session's holder that requests wait. It is nowhere
// written: a guard that starts anew lets them through.
type holding struct {
	run   string
	until time.Time
	limit int
}

// hold lets requests wait until the time is over, the lease ends or the run
// does, whatever comes first.
func (s *service) hold(ctx context.Context, p rpc.Hold) (rpc.Traffic, error) {
	var reply rpc.Traffic
	if p.For < 0 || p.Limit < 0 {
		return reply, rpc.Errorf(rpc.CodeFailed, "", "hold for %v, %d requests: want no less than 0", p.For, p.Limit)
	}
	admit := func() error { return s.holds(p.Fenced) }
	err := s.work(ctx, order{name: "hold", admit: admit}, func(ctx context.Context) error {
		err := s.do(ctx, func() error {
			if err := s.holds(p.Fenced); err != nil {
				return err
			}
			if p.For > 0 && s.public().Mode == rpc.ModeTCP {
				return rpc.Errorf(rpc.CodeFailed, "connections are closed until there is an instance; hold requests with mode: http", "hold: the service's mode is %s", rpc.ModeTCP)
			}
			s.held = holding{p.Run, s.g.now().Add(p.For), p.Limit}
			return nil
		})
		if err != nil {
			return err
		}
		view, err := s.apply(ctx)
		reply = traffic(view)
		return err
	})
	if err != nil { // as in starts
		return rpc.Traffic{}, err
	}
	return reply, nil
}

// holdLeft is how long requests shall wait yet; on the owner.
func (s *service) holdLeft() time.Duration {
	if s.ses == nil || s.ses.Run != s.held.run || s.undoing || s.reverting {
		return 0
	}
	left := s.held.until.Sub(s.g.now())
	if !s.ses.Manual {
		left = min(left, s.deadline.Sub(s.g.now()))
	}
	return max(0, left)
}

// letThrough ends a hold with its session.
func (s *service) letThrough(ctx context.Context, f rpc.Fenced) error {
	held := false
	s.tell(func() { held = s.holdLeft() > 0 })
	if !held {
		return nil
	}
	_, err := s.hold(ctx, rpc.Hold{Fenced: f})
	return err
}
