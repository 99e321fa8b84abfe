package pipeline

import (
	"context"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
)

// upgradePatience bounds a hand-over: the router that follows may first have to
// wait until the one before the present one has ended.
const upgradePatience = 2 * time.Minute

// upgradeRouters lets routers of an older program be followed by one of what
// this run brought, by hand-over. It comes after the commit, so that a canary
// and stable are compared behind one and the same router, and under the run's
// lock. The first host goes alone; where it fails the others are left as they
// are. A failure is a warning: the router that served serves on.
func (p *Pipeline) upgradeRouters(ctx context.Context, f fleet, s *story) {
	if p.Brought == nil || p.Target.Traffic.Router != "embedded" || !ordered(p.Version) || len(f) == 0 {
		return
	}
	upgrade := func(ctx context.Context, h *host) error { return h.upgradeRouter(ctx, s) }
	if f[:1].each(ctx, upgrade) == nil {
		_ = f[1:].each(ctx, upgrade) // each has told its own
	}
}

// ordered: versions of trees that differ from their commit say not what is newer.
func ordered(version string) bool {
	return version != "" && version != "0.0.0-unknown" && !strings.Contains(version, "dirty")
}

func (h *host) upgradeRouter(ctx context.Context, s *story) error {
	helper := h.p.Brought(h.Name)
	if helper == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, upgradePatience)
	defer cancel()
	var got rpc.RouterState
	err := h.call(ctx, 0, func(c *rpc.Client) (err error) {
		got, err = c.ChangeRouter(ctx, rpc.ChangeRouter{Do: rpc.RouterUpgrade, By: h.p.Owner, Helper: helper, Version: h.p.Version})
		return err
	})
	switch code := rpc.CodeOf(err); {
	case code == rpc.CodeNotFound, code == rpc.CodeUnsupported: // no router, or a guard that knows of no other
		return nil
	case err != nil:
		s.note(journal.TypeWarning, h.Name, "the router was not upgraded and serves on as it is: "+err.Error())
	case got.Changed:
		s.note(journal.TypeLog, h.Name, got.Service+" took over from the router before, helper "+got.Helper.Short()+" of "+got.Version)
	}
	return err
}
