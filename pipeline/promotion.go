package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// hasBeenThrough demands what the environment requires of a release: that all
// hosts of another environment held these bytes as stable for long enough. The
// proof is what the guards of those hosts wrote down, read from them now;
// what was found is told, and kept with the run.
func (p *Pipeline) hasBeenThrough(ctx context.Context, r release.Release, s *story) error {
	need := p.Target.Requires
	if need.Environment == "" {
		return nil
	}
	if p.Before == nil || p.Before.Target.Environment != need.Environment {
		return problem.New(problem.Failed, "", "%s requires %s, which cannot be asked here", p.Target.Environment, need.Environment)
	}
	f := p.Before.fleet()
	defer f.close()
	var mu sync.Mutex
	shortest := stay{}
	err := f.each(ctx, func(ctx context.Context, h *host) error {
		found, err := h.stay(ctx, r)
		mu.Lock()
		defer mu.Unlock()
		if shortest.since.IsZero() || found.length() < shortest.length() {
			shortest = found
		}
		if err == nil && found.length() < need.For {
			err = tooShort(found.length(), need.For)
		}
		return err
	})
	if err != nil {
		return notThrough(p.Target.Environment, need.Environment, r, err)
	}
	s.tell(journal.TypePromotion, "", journal.Promotion{
		Environment: need.Environment, Release: r, Hosts: f.names(), Since: shortest.since.UTC(), Seconds: shortest.length().Seconds(),
	})
	return nil
}

// stay is the time for which a release was stable on a host, by the host's clock.
type stay struct{ since, until time.Time }

func (s stay) length() time.Duration { return s.until.Sub(s.since) }

// stay asks the host how long it held r.
func (h *host) stay(ctx context.Context, r release.Release) (stay, error) {
	st, err := h.status(ctx)
	if err != nil {
		return stay{}, err
	}
	var records []journal.Record
	if len(st.Retained) > 0 {
		err = h.call(ctx, 0, func(c *rpc.Client) (err error) {
			records, err = c.Read(ctx, rpc.Read{Service: h.p.Target.Service.Name, Run: "*"})
			return err
		})
	}
	if err != nil {
		return stay{}, err
	}
	return stayOf(st, entries(records), r, h.hello.Time)
}

// unproven is why a host does not speak for a release.
type unproven struct{ why, hint string }

func (e *unproven) Error() string { return e.why }

// stayOf reads from a host's record for how long it held the bytes of r; of
// several revisions of them the longest counts. What the record leaves open
// counts against the release.
func stayOf(st rpc.ServiceStatus, runs []HistoryEntry, r release.Release, now time.Time) (stay, error) {
	best, found := stay{}, false
	until := now // newest first: each commit ends the stay of the one before
	for _, kept := range st.Retained {
		end := until
		if until = kept.Committed; kept.Release.Digest != r.Digest {
			continue
		}
		if kept.Rejected && !found {
			return stay{}, &unproven{"it was rolled back there", "mend it, and let the next release go through"}
		}
		if kept.Revision != st.Slots[st.Stable].Revision {
			end = changedAfter(runs, kept.Committed, end)
		}
		if this := (stay{kept.Committed, end}); !kept.Rejected && (!found || this.length() > best.length()) {
			best = this
		}
		found = true
	}
	if !found {
		return stay{}, neverThere(st, r)
	}
	return best, nil
}

// changedAfter is when a run that changed what is stable began after at; a
// host keeps a revision's last commit only, its journal knows those between.
func changedAfter(runs []HistoryEntry, at, end time.Time) time.Time {
	for _, e := range runs {
		var started journal.RunStarted
		var result journal.Result
		unreadable := decode(e.Started, &started) != nil || (e.Result.Type != "" && decode(e.Result, &result) != nil)
		if began := e.Started.Time; began.After(at) && began.Before(end) && (unreadable || mayChange(started.Verb, result.State)) {
			end = began
		}
	}
	return end
}

func mayChange(verb, state string) bool {
	if verb == "rollback" {
		return true
	}
	switch rollout.State(state) {
	case rollout.RolledBack, rollout.Aborted, rollout.Failed, rollout.Paused:
		return false
	}
	return true
}

func neverThere(st rpc.ServiceStatus, r release.Release) error {
	for _, kept := range st.Retained {
		if kept.Release.Version == r.Version {
			return &unproven{fmt.Sprintf("its %s has the digest %s", kept.Release.Version, kept.Release.Digest.Short()),
				"deploy the very bundle that went through, with --bundle, or build from the same commit"}
		}
	}
	if st.Stable == "" {
		return &unproven{"nothing runs there", ""}
	}
	return &unproven{"it was never committed there, or longer ago than the host remembers; stable is " + st.Slots[st.Stable].Release.String(), ""}
}

func tooShort(had, need time.Duration) error {
	left := (need - had).Round(time.Second)
	return &unproven{fmt.Sprintf("stable for %s of %s", had.Round(time.Second), need), "deploy it again in " + left.String()}
}

// notThrough tells why a release is refused. A host that cannot be asked
// refuses nothing, but nothing was proven either.
func notThrough(env, before string, r release.Release, err error) error {
	var missing *unproven
	if errs, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range errs.Unwrap() {
			if !errors.As(e, &missing) {
				return reachProblem(fmt.Errorf("ask %s whether %s has been through: %w", before, r, e))
			}
		}
	}
	if !errors.As(err, &missing) {
		return reachProblem(err)
	}
	hint := missing.hint
	if hint == "" {
		hint = fmt.Sprintf("run `shipper deploy --env %s` with this bundle first", before)
	}
	why := strings.ReplaceAll(err.Error(), "\n", "; ")
	return problem.New(problem.Verification, hint, "%s takes only what has been through %s, and %s has not: %s", env, before, r, why)
}
