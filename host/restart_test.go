package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

func TestPowerCuts(t *testing.T) {
	t.Run("canary", func(t *testing.T) {
		m, r := underway(t)
		r.weight(2500)
		m.powerCut()
		m.serves(release.Blue, "1.0.0", blue)
		st := m.status()
		if st.Session != nil || st.Run.State != runLost {
			t.Errorf("status: %+v %+v", st.Session, st.Run)
		}
	})
	t.Run("clone", func(t *testing.T) {
		m, _ := underway(t)
		m.stop()
		m.id = "machine-2"
		m.up()
		m.serves(release.Blue, "1.0.0", blue)
		if st := m.status(); st.Session != nil || len(st.Notes) == 0 {
			t.Errorf("status: %+v %v", st.Session, st.Notes)
		}
	})
	t.Run("damaged release", func(t *testing.T) {
		m := newMachine(t)
		m.deploy("r1", "1.0.0")
		rel, _, _ := bundle("1.0.0")
		if err := os.Truncate(filepath.Join(m.layout.Programs, "services", app, "releases", rel.Dir(), "orders.exe"), 3); err != nil {
			t.Fatal(err)
		}
		m.powerCut()
		if got := m.scm.running(); len(got) != 0 {
			t.Errorf("running: %v", got)
		}
		if notes := m.status().Notes; len(notes) == 0 {
			t.Error("status does not say so")
		}
	})
	t.Run("stable does not start at once", func(t *testing.T) {
		m := newMachine(t)
		m.deploy("r1", "1.0.0")
		m.stop()
		m.boot = "boot-2"
		m.scm.reboot()
		m.scm.crash(blue, 1)
		m.scm.edit(func() { m.scm.failing[blue] = &scm.StartError{Service: blue, Code: 1067} })
		m.up()
		m.settled()
		m.scm.edit(func() { delete(m.scm.failing, blue) })
		m.eventually("stable runs", func() bool {
			m.clock.advance(time.Second)
			return len(m.scm.running()) == 1
		})
		m.serves(release.Blue, "1.0.0", blue)
	})
}

func TestGuardRestartKeepsTheLease(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	r.weight(2500)
	m.clock.advance(20 * time.Second)
	m.restart()
	m.settled()
	if _, w := m.proxy.weight(app); w != 2500 {
		t.Errorf("weight after the restart: %v", w)
	}
	if left := m.status().Session.Remaining; left > 10*time.Second {
		t.Errorf("the lease grew to %s", left)
	}
	m.clock.advance(10 * time.Second)
	m.eventually("the session is free", func() bool { return m.status().Session == nil })
	m.serves(release.Blue, "1.0.0", blue)
}

// The power goes out, or the guard dies, after each write of the way to a commit.
func TestCommitCrashPoints(t *testing.T) {
	for write := 1; write <= 5; write++ {
		for _, power := range []bool{true, false} {
			t.Run(fmt.Sprintf("write %d, power cut %v", write, power), func(t *testing.T) {
				t.Parallel()
				m := newMachine(t)
				m.deploy("r1", "1.0.0")
				m.settled()
				r := m.acquire("r2", "deploy")
				r.start("1.1.0")
				r.weight(release.Full)
				m.crashAfter(write)
				if m.c.Prepare(context.Background(), r.f) == nil {
					_, _ = m.c.Commit(context.Background(), rpc.Commit{Fenced: r.f, KeepWarm: time.Hour})
				}
				if power {
					m.powerCut()
				} else {
					m.restart()
					m.clock.advance(time.Minute)
					m.eventually("the session is free", func() bool { return m.status().Session == nil })
				}
				switch {
				case write == 1:
					m.serves(release.Blue, "1.0.0", blue)
				case power:
					m.serves(release.Green, "1.1.0", green)
				default:
					m.serves(release.Green, "1.1.0", blue, green)
				}
				stable := m.status().Stable
				if a, b := m.scm.spec(stable.Service(app)).Start, m.scm.spec(stable.Other().Service(app)).Start; a != scm.Auto || b != scm.Manual {
					t.Errorf("stable starts %s, the other %s", a, b)
				}
			})
		}
	}
}

// crashAfter lets the state's n-th write from now on be the last one that
// the guard gets to know of.
func (m *machine) crashAfter(n int) {
	s, err := m.guard.service(app)
	if err != nil {
		m.t.Fatal(err)
	}
	writes := 0
	crash := func(string) error {
		if writes++; writes >= n {
			return errPower
		}
		return nil
	}
	s.tell(func() { s.stateFile.wrote, s.sessionFile.wrote = crash, crash })
}

func TestStateThatCannotBeRead(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.deploy("r2", "1.1.0")
	m.settled()
	m.stop()
	path := filepath.Join(m.layout.Service(app), "state.json")
	if err := os.WriteFile(path, []byte(`{"protocol":1`), 0o600); err != nil {
		t.Fatal(err)
	}
	m.up()
	m.settled()
	if st := m.status(); len(st.Notes) == 0 || st.Stable != release.Green {
		t.Errorf("one copy lost: %+v", st)
	}
	m.stop()
	for _, p := range []string{path, path + ".previous"} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := m.scm.running()
	m.up()
	m.settled()
	if _, err := m.tryAcquire("r3", "deploy"); err == nil {
		t.Error("a session without a state")
	}
	if st := m.status(); !st.Known || len(st.Notes) == 0 {
		t.Errorf("status: %+v", st)
	}
	if got := m.scm.running(); len(got) != len(before) {
		t.Errorf("running %v before, %v now", before, got)
	}
}
