package simulate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
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
	m.mu.Unlock()
	time.Sleep(d)
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

func (m *manager) Start(_ context.Context, name string) error {
	m.pause(10*time.Millisecond, 400*time.Millisecond)
	m.mu.Lock()
	u := m.units[name]
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
	end, err := m.launch(spec, pid)
	m.mu.Lock()
	defer m.mu.Unlock()
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
				_ = m.Start(context.Background(), name)
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

// halt ends all processes; boot starts what is automatic.
func (m *manager) halt() {
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
			_ = m.Start(context.Background(), name)
		}
	}
}

// launch runs what a service is: a router, or an instance of the release
// whose folder it was given.
func (m *manager) launch(s scm.Spec, pid uint32) (end func(), err error) {
	if strings.HasPrefix(s.Name, "shipper-router-") {
		return m.h.startRouter(strings.TrimPrefix(s.Name, "shipper-router-"))
	}
	version, err := os.ReadFile(filepath.Join(s.Dir, "version.txt"))
	if err != nil {
		m.h.world.breaks("P4: %s starts from %s, where a file is missing: %v", s.Name, s.Dir, err)
		return nil, err
	}
	if b, err := os.ReadFile(filepath.Join(s.Dir, "orders")); err != nil || string(b) != program(string(version)) {
		m.h.world.breaks("P4: %s starts from %s, whose program is damaged (%v)", s.Name, s.Dir, err)
	}
	return m.instance(s, string(version), pid)
}

func port(s scm.Spec) string {
	for _, e := range s.Env {
		if p, ok := strings.CutPrefix(e, "PORT="); ok {
			return p
		}
	}
	return ""
}

// instance listens and answers as its release does.
func (m *manager) instance(s scm.Spec, version string, pid uint32) (func(), error) {
	if version == deaf {
		return func() {}, nil
	}
	l, err := m.h.net.listen(context.Background(), "127.0.0.1:"+port(s))
	if err != nil {
		return nil, err
	}
	m.h.world.event("%s: %s runs %s", m.h.name, s.Name, version)
	server := &http.Server{Handler: m.h.answers(version)}
	over := make(chan struct{})
	go func() {
		defer close(over)
		if err := server.Serve(l.(net.Listener)); !errors.Is(err, http.ErrServerClosed) {
			m.h.world.breaks("instance: %v", err)
		}
	}()
	if version == crashes {
		m.h.world.after(4*time.Second, func() { m.crash(s.Name, pid) })
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-over
	}, nil
}
