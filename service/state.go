package service

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// State is where a service is in its life:
//
//	INIT → RUNNING ⇄ DEGRADED → STOPPING → STOPPED
//
// From INIT, RUNNING and DEGRADED it may go to STOPPING, and nowhere back.
type State string

// States.
const (
	Init     State = "INIT"     // starting; takes no work yet
	Running  State = "RUNNING"  // works
	Degraded State = "DEGRADED" // works, while a health check says that something is wrong
	Stopping State = "STOPPING" // takes no new work, finishes what it has
	Stopped  State = "STOPPED"  // the end
)

// ErrTransition says that a state cannot follow the one that is.
var ErrTransition = errors.New("no such transition")

// Transition is one step in a service's life.
type Transition struct {
	From, To State     // From is empty before the first one
	At       time.Time // when it happened
	Reason   string    // for people
}

// follows says which states may come after one.
func follows(from State) []State {
	switch from {
	case Init:
		return []State{Running, Stopping}
	case Running:
		return []State{Degraded, Stopping}
	case Degraded:
		return []State{Running, Stopping}
	case Stopping:
		return []State{Stopped}
	default:
		return nil
	}
}

// machine is the guarded state, and who watches it.
type machine struct {
	turn     sync.Mutex // held through a transition and its watchers: they see all, in order
	mu       sync.Mutex
	last     Transition
	watchers []func(Transition)
}

func (m *machine) current() Transition {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last.To == "" {
		return Transition{To: Init}
	}
	return m.last
}

func (m *machine) watch(f func(Transition)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watchers = append(m.watchers, f)
}

// enter goes to a state if it may follow the present one.
func (m *machine) enter(to State, reason string) error {
	m.turn.Lock()
	defer m.turn.Unlock()
	t, watchers, err := m.step(to, reason)
	if err != nil {
		return err
	}
	for _, f := range watchers {
		f(t)
	}
	return nil
}

func (m *machine) step(to State, reason string) (Transition, []func(Transition), error) {
	from := m.current().To
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(follows(from), to) {
		return Transition{}, nil, fmt.Errorf("%w: from %s to %s", ErrTransition, from, to)
	}
	m.last = Transition{From: from, To: to, At: time.Now(), Reason: reason}
	return m.last, slices.Clone(m.watchers), nil
}
