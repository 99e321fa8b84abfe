package router

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// placed is a service of its own behind the rig's address.
func (r *rig) placed(service, addr, path string, hosts ...string) Route {
	return Route{
		Service: service, Listen: r.listen, Public: rpc.Public{Hosts: hosts, Path: path}, Stable: release.Blue,
		Slots: map[release.Slot]string{release.Blue: addr}, DrainTimeout: 5 * time.Second,
	}
}

// of asks with a Host header.
func (r *rig) of(host, path string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, r.url(path), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Host, req.Close = host, true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

func TestServicesShareAnAddressByHostAndPath(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for _, route := range []Route{
		r.placed("shop", backend(t, "shop"), "", "Shop.Example"),
		r.placed("shop-api", backend(t, "shop-api"), "/api/", "shop.example"),
		r.placed("shop-v2", backend(t, "shop-v2"), "/api/v2", "shop.example"),
		r.placed("tenants", backend(t, "tenants"), "", "*.example"),
		r.placed("static", backend(t, "static"), "/static"),
	} {
		r.put(route)
	}
	for _, c := range []struct{ host, path, want string }{
		{"shop.example", "/", "shop"},
		{"SHOP.example:80", "/apix", "shop"},
		{"shop.example.", "/api", "shop-api"},
		{"shop.example", "/api?x=/v2", "shop-api"},
		{"shop.example", "/api/v2/", "shop-v2"},
		{"shop.example", "/%61pi/v2", "shop-v2"},
		{"other.example", "/api", "tenants"},
		{"a.b.example", "/static/x", "static"},
		{"a.b.example", "/", ""},
		{"[::1]:80", "/static", "static"},
		{"127.0.0.1", "/", ""},
	} {
		code, text := r.of(c.host, c.path)
		if c.want == "" && code != http.StatusNotFound || c.want != "" && text != c.want {
			t.Errorf("%s%s is answered by %d %q, want %q", c.host, c.path, code, text, c.want)
		}
	}
}

func TestOneServiceLeavesASharedAddress(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	a := r.put(r.placed("a", backend(t, "a"), "", "a.example"))
	r.put(r.placed("b", backend(t, "b"), "", "b.example"))
	if err := r.Delete(r.ctx, "a", a.Generation); err != nil {
		t.Fatal(err)
	}
	if code, _ := r.of("a.example", "/"); code != http.StatusNotFound {
		t.Errorf("a service that left answers %d", code)
	}
	if _, text := r.of("b.example", "/"); text != "b" {
		t.Errorf("who stayed answers %q", text)
	}
	moved := r.placed("b", backend(t, "b"), "", "c.example")
	r.put(moved)
	if _, text := r.of("c.example", "/"); text != "b" {
		t.Errorf("under its new name %q", text)
	}
	again := start(t, Options{Dir: r.dir, Hold: time.Minute})
	if views, err := again.List(again.ctx); err == nil && len(views) != 1 {
		t.Errorf("%d routes are remembered", len(views))
	}
}

func TestRoutesThatCannotBeToldApartAreRefused(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	blue := backend(t, "blue")
	r.put(r.placed("first", blue, "/api", "a.example", "*.b.example"))
	port := r.listen[strings.LastIndex(r.listen, ":"):]
	tcp := r.placed("second", blue, "")
	tcp.Mode = rpc.ModeTCP
	secure := r.placed("second", blue, "", "x.example")
	secure.TLS = &rpc.TLS{Certificates: []rpc.Certificate{{Cert: "cert.pem", Key: "key.pem"}}}
	wide := r.placed("second", blue, "", "x.example")
	wide.Listen = port
	for what, route := range map[string]Route{
		"same host and path":          r.placed("second", blue, "/api/", "A.Example"),
		"one host of two":             r.placed("second", blue, "/api", "c.example", "*.B.example"),
		"tcp beside http":             tcp,
		"tls beside none":             secure,
		"an address that contains it": wide,
	} {
		_, err := r.Put(r.ctx, route, 0)
		if !errors.Is(err, ErrConflict) || problem.HintOf(err) == "" || !strings.Contains(err.Error(), "first") {
			t.Errorf("%s: %v, hint %q", what, err, problem.HintOf(err))
		}
	}
	r.put(r.placed("second", blue, "/", "a.example"))
}

func TestWhatNoRouteMayAskFor(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*Route){
		"host with port":     func(r *Route) { r.Hosts = []string{"a.example:80"} },
		"host with star":     func(r *Route) { r.Hosts = []string{"a.*.example"} },
		"host twice":         func(r *Route) { r.Hosts = []string{"a.example", "A.example"} },
		"relative path":      func(r *Route) { r.Path = "api" },
		"path with dots":     func(r *Route) { r.Path = "/a/../b" },
		"path with query":    func(r *Route) { r.Path = "/a?b" },
		"unknown mode":       func(r *Route) { r.Mode = "udp" },
		"unknown speech":     func(r *Route) { r.Speak = "h3" },
		"tcp with host":      func(r *Route) { r.Mode, r.Hosts = rpc.ModeTCP, []string{"a"} },
		"tcp with cookie":    func(r *Route) { r.Mode, r.Sticky.Cookie = rpc.ModeTCP, "a" },
		"tcp with a hold":    func(r *Route) { r.Mode, r.Hold = rpc.ModeTCP, time.Second },
		"tcp over h2c":       func(r *Route) { r.Mode, r.Speak = rpc.ModeTCP, rpc.SpeakH2C },
		"tls without any":    func(r *Route) { r.TLS = &rpc.TLS{} },
		"cert without key":   func(r *Route) { r.TLS = &rpc.TLS{Certificates: []rpc.Certificate{{Cert: "a"}}} },
		"cert and subject":   func(r *Route) { r.TLS = &rpc.TLS{Certificates: []rpc.Certificate{{Cert: "a", Key: "b", Subject: "c"}}} },
		"short thumbprint":   func(r *Route) { r.TLS = &rpc.TLS{Certificates: []rpc.Certificate{{Thumbprint: "abc"}}} },
		"two sticky keys":    func(r *Route) { r.Sticky = rpc.Sticky{Cookie: "a", Address: true} },
		"values of nothing":  func(r *Route) { r.Match.Values = []string{"a"} },
		"never as a value":   func(r *Route) { r.Match = rpc.Match{Header: "X-Canary", Values: []string{"never"}} },
		"header with spaces": func(r *Route) { r.Match.Header = "X Canary" },
		"no network":         func(r *Route) { r.TrustedProxies = []string{"10.0.0.0/33"} },
		"no address":         func(r *Route) { r.Match = rpc.Match{Header: "X", Allow: []string{"me"}} },
	} {
		route := sample("a", ":80")
		change(&route)
		if err := route.Validate(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestFindIsTheMostExact compares with a search that looks at every route.
func TestFindIsTheMostExact(t *testing.T) {
	t.Parallel()
	var all []*service
	e := New(Options{Dir: t.TempDir()}).env
	for i, hosts := range [][]string{nil, {"a.b"}, {"*.b"}, {"*.a.b", "c"}} {
		for j, path := range []string{"", "/x", "/x/y", "/z"} {
			s := newService(fmt.Sprint(i, j), "", e)
			s.table.Store(&table{route: Route{Public: rpc.Public{Hosts: hosts, Path: path}}})
			all = append(all, s)
		}
	}
	found := newRoutes(all)
	for _, host := range []string{"a.b", "b", "c", "x.b", "x.a.b", "x.y.b", ""} {
		for _, path := range []string{"/", "/x", "/xy", "/x/y/z", "/z/", "*", ""} {
			got, want := found.find(host, path), exact(all, host, path)
			if got != want {
				t.Errorf("%q %q: service %v, want %v", host, path, got, want)
			}
		}
	}
}

func exact(all []*service, host, path string) (best *service) {
	score := -1
	for _, s := range all {
		r := s.table.Load().route
		if r.Path != "" && path != r.Path && !strings.HasPrefix(path, r.Path+"/") {
			continue
		}
		for _, name := range append([]string{""}, r.Hosts...) {
			rank := map[bool]int{true: 2}[name == host] + map[bool]int{true: 1}[name != "" && name != host]
			star, isStar := strings.CutPrefix(name, "*")
			matches := name == "" && len(r.Hosts) == 0 || name != "" && name == host ||
				isStar && strings.HasSuffix(host, star) && strings.Count(host, ".") == strings.Count(name, ".")
			if name == "" {
				rank = 0
			}
			if n := rank*1000 + len(r.Path); matches && n > score {
				best, score = s, n
			}
		}
	}
	return best
}

func TestABusyAddressChangesHandsWithoutALoss(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	r.put(r.placed("main", serve(t, echo), ""))
	l := startLoad(t, r, http.MethodGet, http.MethodPost)
	for i := range 5 { // neighbours come and go beside it
		v := r.put(r.placed("beside", backend(t, "x"), fmt.Sprintf("/p%d", i), "beside.example"))
		l.wait(r, 50)
		if err := r.Delete(r.ctx, "beside", v.Generation); err != nil {
			t.Fatal(err)
		}
	}
	if n, failures := l.end(); len(failures) > 0 {
		t.Errorf("%d of %d failed, the first: %v", len(failures), n, failures[0])
	}
}
