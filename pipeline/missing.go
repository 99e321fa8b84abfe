package pipeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/transport"
)

// missing are the hosts that a run goes on without because they do not
// answer, and why. Which and how many may be, rollout.unreachable says.
type missing struct {
	mu   sync.Mutex
	why  map[string]error
	need int // hosts that must be there
}

func (p *Pipeline) missing() *missing {
	return &missing{why: map[string]error{}, need: p.Target.Rollout.Needs(len(p.Target.Hosts))}
}

// anyHost is for work that is worth doing on whoever answers.
func anyHost() *missing { return &missing{why: map[string]error{}, need: 1} }

// named is an error that names who was left out.
func (m *missing) named(how string) error {
	var errs []string
	for _, name := range m.names() {
		errs = append(errs, name+" ("+m.reason(name)+")")
	}
	if len(errs) == 0 {
		return nil
	}
	return problem.New(problem.Behind, "make the host reachable, and run this once more", "%s, but not on %s", how, strings.Join(errs, ", "))
}

// lenient tells whether any host may be missing.
func (p *Pipeline) lenient() bool {
	n := len(p.Target.Hosts)
	return p.Target.Rollout.Needs(n) < n
}

func (m *missing) add(host string, why error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.why[host] = why
}

// drop books a host as missing if those of f who are then there suffice.
func (m *missing) drop(host string, why error, f fleet) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	there := 0
	for _, h := range f {
		if m.why[h.Name] == nil && h.Name != host {
			there++
		}
	}
	if there >= m.need {
		m.why[host] = why
	}
	return there >= m.need
}

func (m *missing) reason(host string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why[host].Error()
}

// except ends a sentence about all hosts.
func (m *missing) except() string {
	if names := m.names(); len(names) > 0 {
		return " but " + strings.Join(names, ", ")
	}
	return ""
}

func (m *missing) has(host string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.why[host] != nil
}

func (m *missing) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.why))
}

// err is nil while those who are there suffice.
func (m *missing) err(there int) error {
	if there >= m.need {
		return nil
	}
	var errs []error
	for _, name := range m.names() {
		errs = append(errs, &hostError{Host: name, Err: m.why[name]})
	}
	return errors.Join(errs...)
}

// spare is how many of those who are there may still be lost.
func (m *missing) spare(there int) int { return max(0, there-m.need) }

// without are those who are there.
func (m *missing) without(f fleet) fleet {
	return f.where(func(h *host) bool { return !m.has(h.Name) })
}

// sort gives the answers of those who answered; the others are missing, if
// they may be.
func (m *missing) sort(ctx context.Context, hosts []HostStatus) ([]HostStatus, error) {
	var there []HostStatus
	var refused error
	for _, h := range hosts {
		switch {
		case h.Err == nil:
			there = append(there, h)
		case silent(h.Err) && ctx.Err() == nil:
			m.add(h.Host, h.Err)
		case refused == nil:
			refused = &hostError{Host: h.Host, Err: h.Err}
		}
	}
	if refused != nil {
		return there, refused
	}
	return there, m.err(len(there))
}

// mayLeave refuses to take on a parked run without the missing hosts where
// its steps would not be the ones it was in: they are counted by batch.
func (m *missing) mayLeave(plan rollout.Plan, there fleet) error {
	for _, batch := range plan.Batches {
		with := func(name string) bool { return there.byName(name) != nil && !plan.First[name] }
		oneByOne := plan.Strategy == rollout.Rolling || plan.Strategy == rollout.Recreate
		i := slices.IndexFunc(batch, m.has)
		if i >= 0 && (oneByOne || !slices.ContainsFunc(batch, with)) {
			return problem.New(problem.Unreachable, "make it reachable, or end the run with `shipper abort`",
				"resume: %s does not answer, and the run stands at a step that has to be taken with it (%s)", batch[i], m.reason(batch[i]))
		}
	}
	return nil
}

// tell writes down whom the run goes on without.
func (m *missing) tell(s *story) {
	for _, name := range m.names() {
		s.note(journal.TypeWarning, name, "does not answer and is left behind: "+m.why[name].Error())
	}
}

// silent tells a host that cannot be reached from one that refuses us, and
// from trouble of our own.
func silent(err error) bool {
	var t *transport.Error
	var wire *rpc.BrokenError
	switch {
	case errors.As(err, &t):
		return t.Kind == transport.Unreachable || t.Kind == transport.Broken || t.Kind == transport.Gone
	case errors.As(err, &wire):
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// gather connects the fleet and gives those who are there. One host that
// answers goes alone: a wrong password must not lock the account on all of them.
func (p *Pipeline) gather(ctx context.Context, f fleet, install bool, m *missing) (fleet, error) {
	lenient := m.need < len(f)
	reach := func(ctx context.Context, h *host) error {
		err := h.reach(ctx, install)
		if lenient && ctx.Err() == nil && silent(err) {
			m.add(h.Name, err)
			return nil
		}
		return err
	}
	rest := f
	for len(rest) > 0 {
		first := rest[:1]
		if err := first.each(ctx, reach); err != nil {
			return nil, reachProblem(err)
		}
		if rest = rest[1:]; !m.has(first[0].Name) {
			break
		}
	}
	if err := rest.each(ctx, reach); err != nil {
		return nil, reachProblem(err)
	}
	there := m.without(f)
	return there, reachProblem(m.err(len(there)))
}
