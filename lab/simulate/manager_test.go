package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/scm"
)

// manager is a host's service manager. It outlives the guard, not the host.
type manager struct {
	h *machine

	mu    sync.Mutex
	rng   *rand.Rand
	units map[string]*unit
	pids  uint32
	until time.Time // what is asked takes long until then
	cuts  int       // of the power
	still time.Time // instances answer nothing until then
}

type unit struct {
	spec   scm.Spec
	status scm.Status
	end    func() // of what runs; waits for it
}

func newManager(h *machine, rng *rand.Rand) *manager {
	return &manager{h: h, rng: rng, units: map[string]*unit{}, pids: 100}
}

func (m *manager) pause(least, most time.Duration) {
	m.mu.Lock()
	d := least + time.Duration(m.rng.Int64N(int64(most-least)))
	if time.Now().Before(m.until) {
		d *= 20
	}
	m.mu.Unlock()
	time.Sleep(d)
}

// slow makes what is asked take long for a while.
func (m *manager) slow(long time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until = time.Now().Add(long)
}

// hang keeps the instances from answering for a while.
func (m *manager) hang(long time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.still = time.Now().Add(long)
}

func (m *manager) hangs() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, time.Until(m.still))
}

func (m *manager) Ensure(_ context.Context, s scm.Spec) error {
	m.pause(time.Millisecond, 5*time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[s.Name]; u != nil {
		u.spec = s
		return nil
	}
	m.units[s.Name] = &unit{spec: s, status: scm.Status{State: scm.Stopped}}
	return nil
}

func (m *manager) Start(_ context.Context, name string) error { return m.start(name, false) }

// start is by the guard or, byItself, by the manager: at boot, or after a crash.
func (m *manager) start(name string, byItself bool) error {
	cuts := m.lost()
	m.pause(10*time.Millisecond, 400*time.Millisecond)
	m.mu.Lock()
	u := m.units[name]
	if m.cuts != cuts {
		m.mu.Unlock()
		return errReset
	}
	if u == nil {
		m.mu.Unlock()
		return scm.ErrNotFound
	}
	if u.status.State == scm.Running {
		m.mu.Unlock()
		return nil
	}
	m.pids++
	u.status = scm.Status{State: scm.Running, PID: m.pids, Started: time.Now()}
	spec, pid := u.spec, m.pids
	m.mu.Unlock()
	end, err := m.launch(spec, pid, byItself)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cuts != cuts {
		if err == nil {
			go end()
		}
		return errReset
	}
	if err != nil {
		u.status = scm.Status{State: scm.Stopped, Exit: 1}
		return &scm.StartError{Service: name, Code: 1067}
	}
	u.end = end
	return nil
}

func (m *manager) Stop(_ context.Context, name string, _ time.Duration) error {
	m.pause(5*time.Millisecond, 100*time.Millisecond)
	m.mu.Lock()
	u := m.units[name]
	if u == nil {
		m.mu.Unlock()
		return scm.ErrNotFound
	}
	end := u.end
	u.end, u.status = nil, scm.Status{State: scm.Stopped}
	m.mu.Unlock()
	if end != nil {
		end()
	}
	return nil
}

// crash ends a service's process from within; pid 0: whichever it is.
func (m *manager) crash(name string, pid uint32) {
	m.mu.Lock()
	u := m.units[name]
	if u == nil || u.status.State != scm.Running || pid != 0 && u.status.PID != pid {
		m.mu.Unlock()
		return
	}
	end := u.end
	recovery := u.spec.Recovery
	u.end, u.status = nil, scm.Status{State: scm.Stopped, Exit: 3}
	m.mu.Unlock()
	if end != nil {
		end()
	}
	if len(recovery) > 0 {
		m.h.world.after(recovery[0], func() {
			if m.h.isUp() {
				_ = m.start(name, true)
			}
		})
	}
}

func (m *manager) Status(_ context.Context, name string) (scm.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[name]; u != nil {
		return u.status, nil
	}
	return scm.Status{State: scm.Absent}, nil
}

func (m *manager) Delete(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.units, name)
	return nil
}

func (m *manager) List(_ context.Context, prefix string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for name := range m.units {
		if strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

func (m *manager) Spec(_ context.Context, name string) (scm.Spec, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[name]; u != nil {
		return u.spec, nil
	}
	return scm.Spec{}, scm.ErrNotFound
}

func (m *manager) Owns(ctx context.Context, name string, port int) (bool, error) {
	st, err := m.Status(ctx, name)
	m.h.net.mu.Lock()
	defer m.h.net.mu.Unlock()
	return st.State == scm.Running && m.h.net.listeners[fmt.Sprintf("127.0.0.1:%d", port)] != nil, err
}

func (m *manager) running(name string) bool {
	st, _ := m.Status(context.Background(), name)
	return st.State == scm.Running
}

// copied is what the host's services are when all of them rest.
func (m *manager) copied() map[string]unit {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]unit{}
	for name, u := range m.units {
		out[name] = unit{spec: u.spec, status: scm.Status{State: scm.Stopped}}
	}
	return out
}

func (m *manager) lost() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cuts
}

// halt ends all processes; boot starts what is automatic.
func (m *manager) halt() {
	m.mu.Lock()
	m.cuts++
	m.mu.Unlock()
	names, _ := m.List(context.Background(), "")
	for _, name := range names {
		m.mu.Lock()
		u := m.units[name]
		end := u.end
		u.end, u.status = nil, scm.Status{State: scm.Stopped}
		m.mu.Unlock()
		if end != nil {
			end()
		}
	}
}

func (m *manager) boot() {
	names, _ := m.List(context.Background(), "")
	for _, name := range names {
		if spec, err := m.Spec(context.Background(), name); err == nil && spec.Start == scm.Auto {
			_ = m.start(name, true)
		}
	}
}

// launch runs what a service is: a router, or an instance of the release
// whose folder it was given. What the guard starts must be whole; what starts
// by itself after a loss of power the guard stops, if it is not.
func (m *manager) launch(s scm.Spec, pid uint32, byItself bool) (end func(), err error) {
	if strings.HasPrefix(s.Name, "shipper-router-") {
		return m.h.startRouter(strings.TrimPrefix(s.Name, "shipper-router-"))
	}
	version, ok := whole(s.Dir)
	if !ok && !byItself {
		m.h.world.breaks("P4: %s starts from %s, which is damaged", s.Name, s.Dir)
	}
	return m.instance(s, version, pid)
}

// whole tells whether a folder has all of a release, and of which.
func whole(dir string) (version string, ok bool) {
	v, err := os.ReadFile(filepath.Join(dir, "version.txt"))
	b, damaged := os.ReadFile(filepath.Join(dir, "orders"))
	return string(v), err == nil && damaged == nil && string(b) == program(string(v))
}

func port(s scm.Spec) string {
	for _, e := range s.Env {
		if p, ok := strings.CutPrefix(e, "PORT="); ok {
			return p
		}
	}
	return ""
}
