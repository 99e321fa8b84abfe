package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-shipper/shipper/host/scm"
)

// routerSilence is how long nobody may answer before one more router is started.
const routerSilence = 2 * time.Second

// awaitRouter starts the router of this name unless it runs, and waits until
// one answers. It may run and not serve: when the one that took over from it
// has died, it only finishes requests, and a start waits for its end, or is
// one of the other.
func (g *Guard) awaitRouter(ctx context.Context, name string) error {
	within, cancel := context.WithTimeout(ctx, routerStart)
	defer cancel()
	if err := g.startRouter(ctx, name); err != nil {
		return err
	}
	for {
		err := g.routerAnswers(within, routerSilence)
		if err == nil || within.Err() != nil {
			return err
		}
		g.log().Warn("no router answers", "err", err)
		if err := g.startIdle(ctx, name); err != nil {
			return err
		}
	}
}

// startIdle starts one router more, where one runs at most: two that start at
// once follow each other, and who asks meanwhile hears of the first.
func (g *Guard) startIdle(ctx context.Context, name string) error {
	mine, err := g.opts.SCM.Status(ctx, name)
	if err != nil {
		return err
	}
	twin, err := g.opts.SCM.Status(ctx, otherRouter(name))
	switch {
	case err != nil:
		return err
	case twin.State != scm.Stopped && twin.State != scm.Absent:
		return nil
	case mine.State == scm.Stopped:
		return g.startRouter(ctx, name)
	default:
		return g.startTwin(ctx, name)
	}
}

func (g *Guard) routerAnswers(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := g.opts.Router.Ready(ctx); err != nil {
		return fmt.Errorf("wait for the router: %w", err)
	}
	return nil
}

func (g *Guard) startRouter(ctx context.Context, name string) error {
	status, err := g.opts.SCM.Status(ctx, name)
	if err != nil {
		return err
	}
	if status.State != scm.Stopped && status.State != scm.Absent {
		return nil
	}
	if err := g.opts.SCM.Start(ctx, name); err != nil {
		return fmt.Errorf("start the router: %w", err)
	}
	return nil
}

// startTwin starts the other router, if it is the same program: an older one
// shall not come to serve.
func (g *Guard) startTwin(ctx context.Context, name string) error {
	mine, err := g.opts.SCM.Spec(ctx, name)
	if err != nil {
		return err
	}
	twin, err := g.opts.SCM.Spec(ctx, otherRouter(name))
	if errors.Is(err, scm.ErrNotFound) || err == nil && twin.Executable != mine.Executable {
		return nil
	}
	if err != nil {
		return err
	}
	return g.startRouter(ctx, twin.Name)
}
