package service

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTransitions(t *testing.T) {
	all := []State{Init, Running, Degraded, Stopping, Stopped}
	allowed := map[State]string{Init: "RUNNING STOPPING", Running: "DEGRADED STOPPING", Degraded: "RUNNING STOPPING", Stopping: "STOPPED"}
	paths := map[State][]State{Init: {}, Running: {Running}, Degraded: {Running, Degraded}, Stopping: {Stopping}, Stopped: {Stopping, Stopped}}
	for from, path := range paths {
		for _, to := range all {
			var m machine
			var seen []State
			for _, s := range path {
				if err := m.enter(s, "the way there"); err != nil {
					t.Fatal(err)
				}
			}
			m.watch(func(tr Transition) { seen = append(seen, tr.From, tr.To) })
			err := m.enter(to, "try")
			want := slices.Contains(follows(from), to)
			if want != slices.Contains(strings.Fields(allowed[from]), string(to)) {
				t.Errorf("%s to %s: the table says %v", from, to, want)
			}
			if (err == nil) != want || (err != nil && !errors.Is(err, ErrTransition)) {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			if want && (m.current().To != to || !slices.Equal(seen, []State{from, to})) {
				t.Errorf("%s to %s: now %v, seen %v", from, to, m.current(), seen)
			}
			if !want && (m.current().To != from || len(seen) > 0) {
				t.Errorf("%s to %s was refused: now %v, seen %v", from, to, m.current(), seen)
			}
		}
	}
}
