package rollout

import (
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/release"
)

// mutant is an engine with a fault between it and the world: in may change
// an event, out the commands that follow.
type mutant struct {
	*Engine
	in  func(Event) Event
	out func(Event, []Command) []Command
}

func (m mutant) Step(now time.Time, ev Event) []Command {
	if m.in != nil {
		ev = m.in(ev)
	}
	out := m.Engine.Step(now, ev)
	if m.out != nil {
		out = m.out(ev, out)
	}
	return out
}

// rewrite returns a mutant that replaces single commands.
func rewrite(change func(Command) []Command) func(*Engine) mutant {
	return func(e *Engine) mutant {
		return mutant{Engine: e, out: func(_ Event, in []Command) (out []Command) {
			for _, c := range in {
				out = append(out, change(c)...)
			}
			return out
		}}
	}
}

// forgive returns a mutant that takes failed answers to a verb for good ones.
func forgive(v Verb) func(*Engine) mutant {
	return func(e *Engine) mutant {
		return mutant{Engine: e, in: func(ev Event) Event {
			if d, ok := ev.(Done); ok && d.Command.Verb == v {
				d.Err = nil
				return d
			}
			return ev
		}}
	}
}

func replaceVerb(from, to Verb) func(*Engine) mutant {
	return rewrite(func(c Command) []Command {
		if c.Verb == from {
			c.Verb = to
		}
		return []Command{c}
	})
}

// mutants are engines that break a promise each.
func mutants() map[string]func(*Engine) mutant {
	return map[string]func(*Engine) mutant{
		"commits without prepare":      replaceVerb(Prepare, Commit),
		"commits although not all can": forgive(Prepare),
		"shifts before smoke":          replaceVerb(Smoke, Shift),
		"shifts although smoke failed": forgive(Smoke),
		"believes undos that failed":   forgive(Undo),
		"believes commits that failed": forgive(Commit),
		"finishes twice": rewrite(func(c Command) []Command {
			if c.Verb == Finish {
				return []Command{c, c}
			}
			return []Command{c}
		}),
		"never finishes": rewrite(func(c Command) []Command {
			if c.Verb == Finish {
				return nil
			}
			return []Command{c}
		}),
		"weighs above 100": rewrite(func(c Command) []Command {
			c.Weight += c.Weight / 2
			return []Command{c}
		}),
		"goes on after a failed verdict": func(e *Engine) mutant {
			return mutant{Engine: e, out: func(_ Event, out []Command) []Command {
				for _, c := range out {
					if n, ok := c.Note.(VerdictNote); ok && n.Outcome == FailedSignal && !e.traffic.IsZero() {
						e.seq++
						out = append(out, Command{Verb: Shift, Seq: e.seq, Host: e.order[0], Weight: release.Full})
					}
				}
				return out
			}}
		},
		"undoes after the commit": rewrite(func(c Command) []Command {
			if c.Verb == Finish && c.State == Split {
				return []Command{{Verb: Undo, Seq: -1, Host: "web1"}, c}
			}
			return []Command{c}
		}),
		"calls a split run promoted": rewrite(func(c Command) []Command {
			if c.Verb == Finish && c.State == Split {
				c.State = Promoted
			}
			return []Command{c}
		}),
		"forgets who was left behind": rewrite(func(c Command) []Command {
			c.Behind = nil
			return []Command{c}
		}),
		"leaves too many behind": func(e *Engine) mutant {
			e.plan.Budget++
			return mutant{Engine: e}
		},
		"loses too many": func(e *Engine) mutant {
			e.plan.Spare++
			return mutant{Engine: e}
		},
		"works on too many at a time": func(e *Engine) mutant {
			e.plan.MaxParallel = 0
			return mutant{Engine: e}
		},
		"parks where the old instance is stopped": func(e *Engine) mutant {
			if e.plan.Strategy == Recreate {
				e.plan.Strategy = Rolling
			}
			return mutant{Engine: e}
		},
		"goes on without an undo": rewrite(func(c Command) []Command {
			if c.Verb == Undo && strings.HasPrefix(c.Why, "left behind") {
				return nil
			}
			return []Command{c}
		}),
		"judges before the starting step": func(e *Engine) mutant {
			for i := range e.program {
				e.program[i].reached = everything
			}
			return mutant{Engine: e}
		},
		"forgets to park": forgets(Park),
		"forgets to undo": forgets(Undo),
	}
}

// forgets returns a mutant that never gives a command and believes it done.
func forgets(v Verb) func(*Engine) mutant {
	return func(e *Engine) mutant {
		var believed []Command
		return mutant{Engine: e, out: func(_ Event, in []Command) (out []Command) {
			for _, c := range believed {
				in = append(in, e.Step(e.now, Done{Command: c})...)
			}
			believed = nil
			for _, c := range in {
				if c.Verb == v {
					believed = append(believed, c)
				} else {
					out = append(out, c)
				}
			}
			return out
		}}
	}
}

// TestMutantsAreCaught shows that the simulation can fail.
func TestMutantsAreCaught(t *testing.T) {
	const seeds = 3000
	for name, plant := range mutants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= seeds; seed++ {
				_, err := simulate(seed, func(p Plan) (stepper, error) {
					e, err := New(p)
					if err != nil {
						return nil, err
					}
					return plant(e), nil
				})
				if err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("%d seeds did not catch it", seeds)
		})
	}
}
