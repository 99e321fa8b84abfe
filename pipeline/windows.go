package pipeline

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// mayBegin refuses a deploy outside the change windows, unless a change
// allows it; then it says so in the journal. What takes a release back never
// waits for a window.
func (p *Pipeline) mayBegin(s *story, change string) error {
	if err := p.closed(change); err != nil {
		return err
	}
	p.overridden(s, p.Target.Windows.Closed(p.Now()), change)
	return nil
}

func (p *Pipeline) closed(change string) error {
	why := p.Target.Windows.Closed(p.Now())
	if why == "" || change != "" {
		return nil
	}
	return problem.New(problem.Failed, "wait for the window, or name the change that allows it with --change ID",
		"deploy to %s: closed for changes: %s", p.Target.Environment, why)
}

func (p *Pipeline) overridden(s *story, why, change string) {
	if why != "" && change != "" {
		s.note(journal.TypeWarning, "", "closed for changes: "+why+"; change "+change+", named by "+p.Owner+", overrides it")
	}
}

// hostsMayBegin refuses hosts that wait for a reboot or are being updated:
// the first batch is asked about before anything is changed.
func (p *Pipeline) hostsMayBegin(ctx context.Context, f fleet, s *story, change string) error {
	why := p.unready(ctx, f, s)
	if why == "" || change != "" {
		p.overridden(s, why, change)
		return nil
	}
	return problem.New(problem.Failed, "reboot the hosts, or wait for the update; or name the change that allows it with --change ID (windows.pendingReboot: warn asks nobody)",
		"deploy to %s: not now: %s", p.Target.Environment, why)
}

// permit answers whether the next batch may begin.
func (d *driver) permit(ctx context.Context, c rollout.Command) error {
	why := d.p.Target.Windows.Closed(d.p.Now())
	next := d.f.where(func(h *host) bool { return slices.Contains(c.Hosts, h.Name) })
	why = cmp.Or(why, d.p.unready(ctx, next, d.story))
	if why == "" || d.task.change != "" {
		d.p.overridden(d.story, why, d.task.change)
		return nil
	}
	return errors.New("closed for changes: " + why)
}

// unready says which hosts wait for a reboot or are being updated. Files that
// only wait to be replaced are a warning: many hosts always have some. A host
// that does not tell is asked by what follows.
func (p *Pipeline) unready(ctx context.Context, f fleet, s *story) string {
	var mu sync.Mutex
	found := map[string]string{}
	_ = f.each(ctx, func(ctx context.Context, h *host) error {
		r, err := h.ready(ctx)
		why := ""
		switch {
		case err != nil:
		case r.Updating != "":
			why = "is being updated (" + r.Updating + ")"
		case r.Reboot != "":
			why = "waits for a reboot (" + r.Reboot + ")"
		}
		if why == "" {
			return nil
		}
		if r.Updating == "" && r.Renames || p.Target.Windows.PendingReboot == config.RebootWarn {
			s.note(journal.TypeWarning, h.Name, why)
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		found[h.Name] = h.Name + " " + why
		return nil
	})
	var out []string
	for _, h := range f {
		if why := found[h.Name]; why != "" {
			out = append(out, why)
		}
	}
	return strings.Join(out, "; ")
}

func (h *host) ready(ctx context.Context) (r rpc.Readiness, err error) {
	err = h.call(ctx, 0, func(c *rpc.Client) (err error) {
		r, err = c.Ready(ctx)
		return err
	})
	return r, err
}
