package router

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

const (
	controlName    = "control.json"
	maxControlBody = 64 << 10 // bytes, of a request and of control.json
)

// control is what control.json tells: where the router is driven, and with
// what. Whoever reads it may move traffic; the folder protects it.
type control struct {
	Protocol int    `json:"protocol"`
	Address  string `json:"address"`
	Token    string `json:"token"`
}

// failure is the body of an answer that is none.
type failure struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Moved bool   `json:"moved,omitempty"` // nothing was done: ask the router that took over
}

// controller is the control channel of a running router.
type controller struct {
	control
	router   *Router
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
	dir      string // of the control file
}

// openControl listens on a fresh loopback port and answers there; publish
// tells where. cancel gets what ends it before close does.
func openControl(ctx context.Context, r *Router, cancel context.CancelCauseFunc) (*controller, error) {
	l, err := r.env.control(ctx)
	if err != nil {
		return nil, err
	}
	c := &controller{router: r, listener: l, dir: r.env.Dir, control: control{protocol, l.Addr().String(), rand.Text()}}
	c.server = &http.Server{
		Handler:           c.admit(c.routes()),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       clientIdleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          r.env.errlog,
	}
	c.serving.Go(func() {
		if err := c.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("router control channel: %w", err))
		}
	})
	return c, nil
}

// publish makes this router the one that clients find.
func (c *controller) publish() error {
	data, err := json.Marshal(c.control)
	if err != nil {
		return err
	}
	tmp, err := writeTemp(c.dir, data)
	if err != nil {
		return err
	}
	return rename(tmp, filepath.Join(c.dir, controlName))
}

// close lets calls finish for a moment; waiting for a drain is not worth more.
// Only the router that serves takes the control file away.
func (c *controller) close(mine bool) {
	if mine {
		_ = os.Remove(filepath.Join(c.dir, controlName)) // a stale one only leads nowhere
	}
	defer c.serving.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		c.server.Close()
	}
}

func (c *controller) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/services", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, c.router.list(), nil)
	})
	mux.HandleFunc("GET /v1/router", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, c.router.self(), nil)
	})
	mux.HandleFunc("GET /v1/services/{name}", func(w http.ResponseWriter, r *http.Request) {
		v, err := c.router.get(r.PathValue("name"))
		answer(w, v, err)
	})
	mux.HandleFunc("GET /v1/metrics", func(w http.ResponseWriter, _ *http.Request) {
		c.router.scrape(w, func(View) bool { return true })
	})
	mux.HandleFunc("GET /v1/services/{name}/counters", func(w http.ResponseWriter, r *http.Request) {
		v, err := c.router.count(r.PathValue("name"))
		answer(w, v, err)
	})
	mux.HandleFunc("POST /v1/handover", c.handOver)
	mux.HandleFunc("PUT /v1/services/{name}", c.change(c.put))
	mux.HandleFunc("DELETE /v1/services/{name}", c.change(func(r *http.Request, match uint64) (any, error) {
		return struct{}{}, c.router.remove(r.Context(), r.PathValue("name"), match)
	}))
	mux.HandleFunc("POST /v1/services/{name}/drain/{slot}", c.change(func(r *http.Request, match uint64) (any, error) {
		return c.router.drain(r.Context(), r.PathValue("name"), release.Slot(r.PathValue("slot")), match)
	}))
	return mux
}

// admit lets in only who knows the token and means this address: a browser
// that was lured to a loopback port has neither.
func (c *controller) admit(next http.Handler) http.Handler {
	want := []byte("Bearer " + c.Token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host != c.Address:
			fail(w, http.StatusForbidden, errors.New("wrong host"))
		case subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1:
			fail(w, http.StatusUnauthorized, errors.New("wrong token"))
		case !c.router.started.Load() || c.router.hasLeft():
			fail(w, http.StatusServiceUnavailable, errMoved)
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxControlBody)
			next.ServeHTTP(w, r)
		}
	})
}

// change demands the generation that the caller has seen.
func (c *controller) change(do func(r *http.Request, match uint64) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		match, err := strconv.ParseUint(strings.Trim(r.Header.Get("If-Match"), `"`), 10, 64)
		if err != nil {
			fail(w, http.StatusPreconditionFailed, errors.New("a change needs If-Match with the route's generation, 0 for a new one"))
			return
		}
		v, err := do(r, match)
		answer(w, v, err)
	}
}

func (c *controller) put(r *http.Request, match uint64) (any, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	route, err := decodeRoute(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if route.Service != r.PathValue("name") {
		return nil, fmt.Errorf("%w: the route is of service %q", ErrInvalid, route.Service)
	}
	return c.router.put(r.Context(), route, match)
}

// handOverUpgrade is the protocol that a link between two routers switches to.
const handOverUpgrade = "shipper-handover"

// handOver makes the connection a link to a successor.
func (c *controller) handOver(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != handOverUpgrade {
		fail(w, http.StatusUpgradeRequired, errors.New("this is for routers"))
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+handOverUpgrade+"\r\n\r\n")
	l := newLink(conn, buffered.Reader)
	if err == nil {
		err = c.router.handOver(l, r.URL.Query().Get("dock"))
	}
	if err != nil {
		c.router.env.Log.Warn("no hand-over", "err", err)
		l.close()
	}
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		fail(w, codeOf(err), err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

func fail(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(failure{err.Error(), problem.HintOf(err), errors.Is(err, errMoved)})
}

// codes pairs what callers decide on with how it travels.
func codes() map[int]error {
	return map[int]error{
		http.StatusNotFound:           ErrNotFound,
		http.StatusPreconditionFailed: ErrStale,
		http.StatusConflict:           ErrConflict,
		http.StatusBadRequest:         ErrInvalid,
		http.StatusServiceUnavailable: ErrUnavailable,
	}
}

func codeOf(err error) int {
	for code, known := range codes() {
		if errors.Is(err, known) {
			return code
		}
	}
	return http.StatusInternalServerError
}
