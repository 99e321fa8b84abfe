package simulate

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/rollout"
)

// visit is something that somebody does from a machine of their own.
type visit struct {
	at   time.Duration
	verb string
	host int // of verbs on a host's own console
}

// visits draws a handful. Whoever pauses comes back: nothing else would end that.
func visits(rng *rand.Rand, hosts int) (out []visit) {
	for n := range 3 + rng.IntN(5) {
		v := visit{at: seconds(rng, 0, 40), host: rng.IntN(hosts)}
		v.verb = pick(rng, "pause", "resume", "promote", "promote-full", "abort", "retry", "retry", "sync", "sync", "rollback",
			"deploy", "prune", "watch", "lock", "check", "history", "freeze", "console")
		if v.verb == "console" && hosts > 1 {
			v.verb = "status" // it would leave a mixture, and that would be right
		}
		out = append(out, v)
		if v.verb == "pause" {
			out = append(out, visit{at: v.at + seconds(rng, 3, 12), verb: pick(rng, "resume", "promote", "abort"), host: n % hosts})
		}
	}
	return out
}

// come makes a visit; how it ends is of no interest, what it leaves is.
func (w *world) come(v visit) {
	c := w.controller("visitor")
	switch v.verb {
	case "pause", "resume", "promote", "promote-full", "abort":
		c.ask(v.verb)
	case "deploy":
		c.deploy(third)
	case "rollback":
		c.rollback()
	case "sync":
		c.sync()
	case "retry":
		c.run("retry", func(ctx context.Context) (pipeline.Result, error) {
			return c.p.Retry(ctx, "", pipeline.DeployRequest{Bundle: w.shop.bundles[w.plan.version]})
		})
	case "watch":
		c.run("watch", func(ctx context.Context) (pipeline.Result, error) {
			ctx, stop := context.WithTimeout(ctx, time.Minute) // a clock that was put back keeps the slot warm for longer
			defer stop()
			return c.p.Watch(ctx)
		})
	default:
		c.run(v.verb, func(ctx context.Context) (pipeline.Result, error) {
			return pipeline.Result{State: rollout.Promoted}, c.small(ctx, v)
		})
	}
	c.wait()
}

// small are the verbs without a run.
func (c *controller) small(ctx context.Context, v visit) error {
	h := c.w.hosts[v.host]
	switch v.verb {
	case "prune":
		_, err := c.p.Prune(ctx, false)
		return err
	case "lock":
		err := c.p.LockAcquire(ctx, "hands off")
		_ = sleep(ctx, 3*time.Second)
		_ = c.p.LockRelease(ctx)
		return err
	case "check":
		_, _, err := c.p.CheckRollback(ctx)
		return err
	case "history":
		_, err := c.p.History(ctx)
		return err
	case "freeze":
		err := h.console(ctx, func(c *rpc.Client) error { return c.Freeze(ctx, rpc.Freeze{Service: service, By: "night"}) })
		_ = sleep(ctx, 3*time.Second)
		return err
	case "console":
		return h.console(ctx, func(c *rpc.Client) error {
			_, err := c.Rollback(ctx, rpc.Rollback{Service: service, By: "night"})
			return err
		})
	}
	_, err := c.p.Status(ctx)
	return err
}

// console asks the guard as shipper-host does on the host itself.
func (h *machine) console(ctx context.Context, ask func(*rpc.Client) error) error {
	conn, err := host.DialGuardOver(ctx, h.layout, h.net.dial)
	if err != nil {
		return err
	}
	c, _, err := rpc.Dial(ctx, conn, rpc.Hello{Protocol: rpc.Protocol, Version: "sim"})
	if err != nil {
		return err
	}
	defer c.Close()
	return ask(c)
}

// tidy ends what a person took and could not give back while hosts were away.
func (w *world) tidy() {
	c := w.controller("person")
	c.run("tidy", func(ctx context.Context) (pipeline.Result, error) {
		for _, h := range w.hosts {
			err := h.console(ctx, func(c *rpc.Client) error {
				return c.Freeze(ctx, rpc.Freeze{Service: service, By: "night", Thaw: true})
			})
			if err != nil {
				return pipeline.Result{}, err
			}
		}
		return pipeline.Result{State: rollout.Promoted}, c.p.LockRelease(ctx)
	})
	c.wait()
	if c.err != nil {
		w.breaks("P5: a person cannot give a lock back: %v", c.err)
	}
}
