package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

func TestInvalidRoutesAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for what, change := range map[string]func(*Route){
		"name":             func(r *Route) { r.Service = "a b" },
		"long name":        func(r *Route) { r.Service = strings.Repeat("x", 81) },
		"no port":          func(r *Route) { r.Listen = "127.0.0.1" },
		"port 0":           func(r *Route) { r.Listen = ":0" },
		"host name":        func(r *Route) { r.Listen = "example.com:80" },
		"slot name":        func(r *Route) { r.Slots["red"] = "127.0.0.1:1" },
		"slot elsewhere":   func(r *Route) { r.Slots[release.Blue] = "10.0.0.1:80" },
		"slot by name":     func(r *Route) { r.Slots[release.Blue] = "localhost:80" },
		"slot without":     func(r *Route) { r.Slots[release.Blue] = "127.0.0.1" },
		"same address":     func(r *Route) { r.Slots[release.Green] = r.Slots[release.Blue] },
		"stable nowhere":   func(r *Route) { delete(r.Slots, release.Blue) },
		"canary nowhere":   func(r *Route) { delete(r.Slots, release.Green) },
		"canary is stable": func(r *Route) { r.Canary = r.Stable },
		"weight below":     func(r *Route) { r.Weight = -1 },
		"weight above":     func(r *Route) { r.Weight = release.Full + 1 },
		"weight of none":   func(r *Route) { r.Canary = "" },
		"no lease":         func(r *Route) { r.Lease = 0 },
		"negative lease":   func(r *Route) { r.Lease = -1 },
		"long lease":       func(r *Route) { r.Lease = 25 * time.Hour },
		"drain timeout":    func(r *Route) { r.DrainTimeout = -1 },
		"boot":             func(r *Route) { r.Boot = "perhaps" },
		"a hint":           func(r *Route) { r.Mode, r.Hold = rpc.ModeTCP, time.Second },
	} {
		route := r.route("127.0.0.1:7001", "127.0.0.1:7002", 500)
		change(&route)
		_, err := r.Put(r.ctx, route, 0)
		known := errors.Is(err, ErrInvalid)
		switch what {
		case "name": // never gets as far as a route
			known = err != nil
		case "a hint":
			known = known && problem.HintOf(err) != ""
		}
		if !known {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	if views, err := r.List(r.ctx); err != nil || len(views) != 0 {
		t.Errorf("refused routes left %v, %v", views, err)
	}
}

func TestControlRefusesStrangers(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	to, err := r.find()
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]string{"Authorization": "Bearer " + to.Token, "If-Match": "0"}
	route, err := json.Marshal(r.route("127.0.0.1:7001", "", 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		header map[string]string // over good
		body   []byte
		want   int
	}{
		{"no token", map[string]string{"Authorization": ""}, route, http.StatusUnauthorized},
		{"wrong token", map[string]string{"Authorization": "Bearer x"}, route, http.StatusUnauthorized},
		{"half a token", map[string]string{"Authorization": "Bearer " + to.Token[:4]}, route, http.StatusUnauthorized},
		{"wrong host", map[string]string{"Host": "localhost"}, route, http.StatusForbidden},
		{"no generation", map[string]string{"If-Match": ""}, route, http.StatusPreconditionFailed},
		{"any generation", map[string]string{"If-Match": "*"}, route, http.StatusPreconditionFailed},
		{"unknown field", nil, []byte(`{"service":"orders","sticky":true}`), http.StatusBadRequest},
		{"two routes", nil, append(bytes.Clone(route), route...), http.StatusBadRequest},
		{"no JSON", nil, []byte("hello"), http.StatusBadRequest},
		{"endless", nil, bytes.Repeat([]byte(" "), maxControlBody+1), http.StatusBadRequest},
		{"other service", nil, bytes.Replace(route, []byte(name), []byte("invoices"), 1), http.StatusBadRequest},
		{"all right", map[string]string{"If-Match": `"0"`}, route, http.StatusOK},
	} {
		req, err := http.NewRequestWithContext(r.ctx, http.MethodPut, "http://"+to.Address+path(name), bytes.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		for _, header := range []map[string]string{good, c.header} {
			for k, v := range header {
				req.Header.Set(k, v)
			}
		}
		req.Host = c.header["Host"]
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s: %s %s, want %d", c.what, res.Status, text, c.want)
		}
		if bytes.Contains(text, []byte(to.Token)) {
			t.Errorf("%s: the answer tells the token", c.what)
		}
	}
}

func TestViewTellsWhatHolds(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, Options{Now: c.Now})
	route := r.route(backend(t, "blue"), backend(t, "green"), 2500)
	route.Boot = BootRefuse
	v := r.put(route)
	if !reflect.DeepEqual(v.Route, route) || v.Remaining != route.Lease || !v.Ready || v.Epoch == "" {
		t.Errorf("put %+v, got %+v", route, v)
	}
	if got := r.view(); !reflect.DeepEqual(got, v) {
		t.Errorf("get gives %+v, put gave %+v", got, v)
	}
	c.add(time.Second)
	if got := r.view().Remaining; got != route.Lease-time.Second {
		t.Errorf("a second later %v remain", got)
	}
}

func TestDrainOfAnUnknownSlot(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.route(backend(t, "blue"), "", 0))
	for _, slot := range []release.Slot{release.Green, "red"} {
		if _, err := r.Drain(r.ctx, name, slot); !errors.Is(err, ErrNotFound) {
			t.Errorf("drain %s: %v", slot, err)
		}
	}
	if _, err := r.Drain(r.ctx, "nobody", release.Blue); !errors.Is(err, ErrNotFound) {
		t.Errorf("drain of nobody: %v", err)
	}
	if _, _, err := r.Counters(r.ctx, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("counters of nobody: %v", err)
	}
}

func TestReadyGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("told to")
	cancel(reason)
	if err := NewClient(t.TempDir()).Ready(ctx); !errors.Is(err, reason) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
}

func FuzzControl(f *testing.F) {
	f.Add([]byte(`{"service":"a","listen":":80","slots":{"blue":"127.0.0.1:1"},"stable":"blue","weight":1,"lease":5}`))
	f.Add([]byte(`{"service":"a","listen":"[::]:80","slots":null}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		route, err := decodeRoute(data)
		if err != nil || route.Validate() != nil {
			return
		}
		again, err := json.Marshal(route.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeRoute(again)
		if err != nil || back.Validate() != nil || !back.sameLasting(route.withDefaults()) {
			t.Errorf("%s does not survive: %v, %+v", again, err, back)
		}
	})
}
