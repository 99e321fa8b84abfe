package host

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// machine is a host whose guard can be stopped, killed and started again.
type machine struct {
	t      *testing.T
	layout Layout
	clock  *clock
	lease  time.Duration
	scm    *manager
	proxy  *proxy
	boot   string
	id     string
	exe    string
	wrote  func(string) error

	guard *Guard
	stop  func()
	c     *rpc.Client
	event func(Event)
}

const app = "orders"

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	c := newClock()
	m := &machine{
		t: t, layout: DefaultLayout(dir), clock: c, lease: 30 * time.Second, scm: newManager(c), proxy: newProxy(c),
		boot: "boot-1", id: "machine-1", exe: filepath.Join(dir, "shipper-host"),
	}
	if err := os.WriteFile(m.exe, []byte("helper"), 0o700); err != nil {
		t.Fatal(err)
	}
	m.up()
	t.Cleanup(func() { m.stop() })
	return m
}

// up starts the guard and connects to it.
func (m *machine) up() {
	m.t.Helper()
	g, err := NewGuard(Options{
		Layout: m.layout, SCM: m.scm, Router: m.proxy, Executable: m.exe, Clock: m.clock,
		Machine: func() (string, error) { return m.id, nil },
		Boot:    func() (string, error) { return m.boot, nil },
		Event:   m.event,
		Log:     slog.New(slog.NewTextHandler(m.t.Output(), nil)),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	for _, s := range g.services {
		s.stateFile.wrote, s.sessionFile.wrote = m.wrote, m.wrote
	}
	g.wrote = m.wrote
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	m.guard = g
	m.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			m.t.Errorf("guard: %v", err)
		}
		ended <- nil
	}
	m.c = m.dial()
}

func (m *machine) dial() *rpc.Client {
	m.t.Helper()
	var c *rpc.Client
	m.eventually("the guard listens", func() bool {
		conn, err := DialGuard(context.Background(), m.layout)
		if err != nil {
			return false
		}
		c, _, err = rpc.Dial(context.Background(), conn, rpc.Hello{Protocol: rpc.Protocol})
		return err == nil
	})
	m.t.Cleanup(func() { c.Close() })
	return c
}

// restart ends the guard, as its service manager or an update would.
func (m *machine) restart() {
	m.t.Helper()
	m.stop()
	m.up()
}

// powerCut ends everything and boots.
func (m *machine) powerCut() {
	m.t.Helper()
	m.stop()
	m.boot += "x"
	m.scm.reboot()
	m.up()
	m.settled()
}

// settled waits until the guard has nothing under way.
func (m *machine) settled() {
	m.t.Helper()
	m.eventually("nothing is under way", func() bool {
		s, err := m.guard.service(app)
		if err != nil {
			return true
		}
		idle := false
		s.tell(func() { idle = s.task == nil && !s.renewing })
		return idle
	})
}

func (m *machine) eventually(what string, ok func() bool) {
	m.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			m.t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (m *machine) status() rpc.ServiceStatus {
	m.t.Helper()
	s, err := m.c.Status(context.Background(), rpc.ServiceRef{Service: app})
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// run is a controller's view of its run.
type run struct {
	*machine
	f rpc.Fenced
}

func (m *machine) acquire(id, verb string) *run {
	m.t.Helper()
	s, err := m.tryAcquire(id, verb)
	if err != nil {
		m.t.Fatal(err)
	}
	return &run{m, rpc.Fenced{Service: app, Run: id, Fence: s.Fence}}
}

func (m *machine) tryAcquire(id, verb string) (rpc.Session, error) {
	return m.c.Acquire(context.Background(), rpc.Acquire{
		Service: app, Environment: "test", Run: id, Verb: verb, Owner: "ann@" + id, TTL: m.lease,
	})
}

// underway is a machine on which 1.0.0 is stable in blue, and the run r2 on it,
// which has started 1.1.0 in green.
func underway(t *testing.T) (*machine, *run) {
	t.Helper()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	r.start("1.1.0")
	return m, r
}

// bundle is a release's files by version.
func bundle(version string) (release.Release, []release.File, map[string][]byte) {
	data := map[string][]byte{"orders.exe": []byte("program " + version), "lib/common.txt": []byte("the same in all")}
	var files []release.File
	for path, b := range data {
		files = append(files, release.File{Path: path, Size: int64(len(b)), SHA256: release.Of(b)})
	}
	return release.Release{Version: version, Digest: release.ContentDigest(files)}, files, data
}

func (r *run) push(version string) release.Release {
	r.t.Helper()
	rel, files := r.put(version)
	if err := r.c.Install(context.Background(), rpc.Install{Fenced: r.f, Release: rel, Files: files}); err != nil {
		r.t.Fatal(err)
	}
	return rel
}

// put brings what the host misses of a version.
func (r *run) put(version string) (release.Release, []release.File) {
	r.t.Helper()
	ctx := context.Background()
	rel, files, data := bundle(version)
	var want []release.Digest
	byDigest := map[release.Digest][]byte{}
	for _, f := range files {
		want = append(want, f.SHA256)
		byDigest[f.SHA256] = data[f.Path]
	}
	have, err := r.c.Have(ctx, rpc.Have{Digests: want})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, part := range have.Missing {
		b := byDigest[part.Digest]
		_, err := r.c.Put(ctx, rpc.Put{
			Service: r.f.Service, Run: r.f.Run, Fence: r.f.Fence, Digest: part.Digest, Size: int64(len(b)), Encoded: int64(len(b)),
		}, bytes.NewReader(b))
		if err != nil {
			r.t.Fatal(err)
		}
	}
	return rel, files
}

func revision(rel release.Release) release.Revision {
	return release.Revision{
		Service: app, Release: rel, Mode: "console", Executable: "orders.exe",
		Args: []string{"--listen", "{{.Listen}}"}, Recovery: []int64{1000, 5000},
	}
}

func (r *run) startParams(rel release.Release) rpc.Start {
	return rpc.Start{
		Fenced: r.f, Revision: revision(rel), Ports: rpc.Ports{Blue: 8101, Green: 8102}, Timeout: 10 * time.Second,
		Traffic: rpc.TrafficConfig{Router: "embedded", Listen: "127.0.0.1:8100", DrainTimeout: time.Second},
	}
}

func (r *run) start(version string) rpc.Started {
	r.t.Helper()
	s, err := r.c.Start(context.Background(), r.startParams(r.push(version)))
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *run) weight(w release.Weight) rpc.Traffic {
	r.t.Helper()
	got, err := r.c.SetTraffic(context.Background(), rpc.SetTraffic{Fenced: r.f, Weight: w})
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *run) commit(warm time.Duration) rpc.Committed {
	r.t.Helper()
	got, err := r.c.Commit(context.Background(), rpc.Commit{Fenced: r.f, KeepWarm: warm, Retain: 3})
	if err != nil {
		r.t.Fatal(err)
	}
	return got
}

func (r *run) release(state string) {
	r.t.Helper()
	if err := r.c.ReleaseSession(context.Background(), rpc.Ended{Fenced: r.f, State: state}); err != nil {
		r.t.Fatal(err)
	}
}

// deploy takes a version all the way.
func (m *machine) deploy(id, version string) {
	m.t.Helper()
	r := m.acquire(id, "deploy")
	r.start(version)
	r.weight(release.Full)
	if err := m.c.Prepare(context.Background(), r.f); err != nil {
		m.t.Fatal(err)
	}
	r.commit(15 * time.Minute)
	r.release(runPromoted)
}

// serves checks what the public address shows and which slots run.
func (m *machine) serves(slot release.Slot, version string, running ...string) {
	m.t.Helper()
	m.settled()
	st := m.status()
	stable, weight := m.proxy.weight(app)
	if st.Stable != slot || stable != slot || weight != 0 {
		m.t.Errorf("stable is %q, the router serves %q and gives the other %v; want all on %q", st.Stable, stable, weight, slot)
	}
	if slot != "" && st.Slots[slot].Release.Version != version {
		m.t.Errorf("stable is version %q, want %q", st.Slots[slot].Release.Version, version)
	}
	if got := m.scm.running(); !slices.Equal(got, running) {
		m.t.Errorf("running: %v, want %v", got, running)
	}
}

func (m *machine) code(err error, want string) {
	m.t.Helper()
	if err == nil || rpc.CodeOf(err) != want {
		m.t.Errorf("got %v (%s), want %s", err, rpc.CodeOf(err), want)
	}
}

var errPower = errors.New("the power is out")
