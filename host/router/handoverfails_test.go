package router

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/flock"
	"github.com/go-shipper/shipper/host/router/socket"
	"github.com/go-shipper/shipper/release"
)

// impostor asks for a hand-over and fails at some point of it.
func impostor(t *testing.T, r *rig) (*link, *offer, *socket.Dock) {
	t.Helper()
	dock, err := socket.OpenDock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dock.Close() })
	l, err := New(Options{Dir: r.dir}).reachElder(r.ctx, dock.Name())
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.receive(linkTimeout)
	if err != nil || m.Offer == nil {
		t.Fatalf("no offer: %+v, %v", m, err)
	}
	return l, m.Offer, dock
}

func TestElderGoesOnWithoutItsSuccessor(t *testing.T) {
	t.Parallel()
	for what, fail := range map[string]func(t *testing.T, r *rig, l *link, o *offer, dock *socket.Dock){
		"dies when it should prepare": func(_ *testing.T, _ *rig, l *link, _ *offer, _ *socket.Dock) { l.close() },
		"cannot prepare": func(t *testing.T, _ *rig, l *link, _ *offer, _ *socket.Dock) {
			if err := l.send(message{Refused: "no certificate"}); err != nil {
				t.Error(err)
			}
		},
		"makes no sense": func(t *testing.T, _ *rig, l *link, _ *offer, _ *socket.Dock) {
			if err := l.send(message{Serving: true}); err != nil {
				t.Error(err)
			}
		},
		"dies with the sockets": func(t *testing.T, _ *rig, l *link, o *offer, dock *socket.Dock) {
			s, err := dock.Take(o.Sockets[0].Data)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
			l.close()
		},
		"dies before it has the baton": func(t *testing.T, _ *rig, l *link, _ *offer, _ *socket.Dock) {
			if err := l.send(message{Take: true}); err != nil {
				t.Error(err)
			}
			l.close()
		},
		"dies with the baton": func(t *testing.T, r *rig, l *link, _ *offer, _ *socket.Dock) {
			if err := l.send(message{Take: true}); err != nil {
				t.Error(err)
			}
			if m, err := l.receive(linkTimeout); err != nil || m.Final == nil {
				t.Errorf("%+v, %v", m, err)
			}
			baton, err := flock.Take(filepath.Join(r.dir, batonName))
			if err != nil {
				t.Error(err)
				return
			}
			baton.Close()
			l.close()
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := start(t, Options{})
			route := r.route(serve(t, echo), "", 0)
			r.put(route)
			load := startLoad(t, r, http.MethodGet)
			l, o, dock := impostor(t, r)
			if !r.refusesChanges(route) {
				t.Error("changes are taken while another router takes over")
			}
			fail(t, r, l, o, dock)
			r.eventually("changes are taken again", func() bool { return !r.refusesChanges(route) })
			load.wait(r, 20)
			if n, failures := load.end(); len(failures) > 0 {
				t.Errorf("%d of %d requests failed, the first: %v", len(failures), n, failures[0])
			}
			if _, err := flock.Take(filepath.Join(r.dir, batonName)); !errors.Is(err, flock.ErrHeld) {
				t.Errorf("nobody has the baton: %v", err)
			}
			next := r.follow(Options{})
			r.finished()
			if code, _ := next.get("/echo?a;b=1"); code != http.StatusOK {
				t.Errorf("the successor answers %d", code)
			}
		})
	}
}

// refusesChanges tries one, which changes nothing.
func (r *rig) refusesChanges(route Route) bool {
	v, err := r.Get(r.ctx, route.Service)
	if err != nil {
		r.t.Error(err)
		return false
	}
	err = r.once(r.ctx, http.MethodPut, path(route.Service), &v.Generation, route, nil)
	if err != nil && !errors.Is(err, errMoved) && !errors.Is(err, ErrStale) {
		r.t.Errorf("a change: %v", err)
	}
	return err != nil
}

func TestSuccessorThatCannotPublishFails(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(backend(t, "blue"), "", 0))
	ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
	defer cancel()
	// A successor with another folder for its control file: the rename fails.
	n := New(Options{Dir: r.dir, Log: discard()})
	var err error
	if n.control, err = openControl(ctx, n, func(error) {}); err != nil {
		t.Fatal(err)
	}
	defer n.control.close(false)
	n.ctx = ctx
	n.control.dir = filepath.Join(r.dir, "missing")
	if err := n.start(ctx); err == nil {
		t.Fatal("the successor serves, and nobody finds it")
	}
	if _, text := r.get("/"); text != "blue" {
		t.Errorf("%q answers", text)
	}
	r.put(r.view().Route)
}

func FuzzHandOver(f *testing.F) {
	for _, m := range []message{
		{Take: true}, {Serving: true}, {Refused: "no", Later: true}, {Forget: name},
		{Offer: &offer{Protocol: handOverProtocol, Sockets: []parcel{{":80", []byte{1}}}, Estate: estate{Services: []carried{{Route: sample(name, ":80")}}}}},
		{Final: &estate{Generation: 7, Services: []carried{{Route: sample(name, ":80"), Draining: []release.Slot{"red", "blue"}, Remaining: -1}}}},
		{Follow: &carried{Route: sample(name, ":80"), Counters: slotSums{release.Blue: {Latency: []int64{1}}}}},
		{Drain: &slotOf{name, release.Blue}}, {Drained: &slotOf{name, "red"}},
		{Counts: map[string]slotSums{name: {release.Green: {Requests: 1}}}},
	} {
		line, err := json.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Add([]byte(`{"offer":{"protocol":2}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := decodeMessage(line)
		if err != nil {
			return
		}
		r := New(Options{Dir: t.TempDir(), Log: discard()})
		var cancel context.CancelFunc
		r.ctx, cancel = context.WithCancel(t.Context())
		for _, e := range []*estate{m.Final, m.offered()} {
			if e != nil {
				r.adopt(*e, time.Now(), nil)
			}
		}
		if m.Follow != nil {
			r.follow(*m.Follow)
		}
		for _, s := range r.services {
			if err := s.table.Load().route.Validate(); err != nil {
				t.Errorf("took over an invalid route: %v", err)
			}
			s.view()
			s.totals()
		}
		cancel()
		r.shutdown()
	})
}

func (m message) offered() *estate {
	if m.Offer == nil {
		return nil
	}
	return &m.Offer.Estate
}

// spoken passes log lines on.
type spoken chan string

func (c spoken) Write(line []byte) (int, error) {
	select {
	case c <- string(line):
	default: // nobody reads them any more
	}
	return len(line), nil
}

// The service manager may hold a router for stopped before the next one has
// heard that it is gone: who comes then waits.
func TestThirdRouterWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	addr, entered, leave := gated(t)
	r.put(r.route(addr, "", 0))
	late := make(chan string)
	go func() {
		_, text := r.get("/")
		late <- text
	}()
	<-entered
	said := make(spoken, 16)
	second := r.follow(Options{Log: slog.New(slog.NewTextHandler(said, nil))})
	third := launch(t, Options{Dir: r.dir})
	for !strings.Contains(<-said, errNotNow.Error()) {
	}
	close(leave)
	if text := <-late; text != "late" {
		t.Errorf("the request in flight got %q", text)
	}
	r.finished()
	second.finished()
	if err := third.Ready(third.ctx); err != nil {
		t.Errorf("the third router does not serve: %v", err)
	}
}
