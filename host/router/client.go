package router

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

const (
	maxAnswer    = 8 << 20 // bytes
	moveInterval = 10 * time.Millisecond
	movePatience = 15 * time.Second
)

// Client drives the router whose folder is dir. It finds a restarted router
// by itself and may be used by several goroutines. Its errors wrap
// ErrNotFound, ErrStale, ErrConflict, ErrInvalid or ErrUnavailable.
type Client struct {
	dir  string
	http *http.Client
}

// NewClient connects to nothing yet.
func NewClient(dir string) *Client {
	return &Client{dir: dir, http: &http.Client{Transport: &http.Transport{IdleConnTimeout: idleTimeout}}}
}

// NewClientOver is NewClient on a network of its own.
func NewClientOver(dir string, dial func(ctx context.Context, addr string) (net.Conn, error)) *Client {
	c := NewClient(dir)
	c.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
		return dial(ctx, addr)
	}
	return c
}

// Ready waits until the router answers.
func (c *Client) Ready(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := c.List(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// List gives every route, by name.
func (c *Client) List(ctx context.Context) ([]View, error) {
	var v []View
	return v, c.call(ctx, http.MethodGet, "/v1/services", nil, nil, &v)
}

// Self tells which router serves.
func (c *Client) Self(ctx context.Context) (Self, error) {
	var v Self
	return v, c.call(ctx, http.MethodGet, "/v1/router", nil, nil, &v)
}

// Get reads a route back.
func (c *Client) Get(ctx context.Context, service string) (View, error) {
	var v View
	return v, c.call(ctx, http.MethodGet, path(service), nil, nil, &v)
}

// Put makes route the truth about its service and returns what really holds.
// ifMatch is the generation last seen, 0 if there is no route yet. The same
// content again renews the lease. On an error nothing has changed.
func (c *Client) Put(ctx context.Context, route Route, ifMatch uint64) (View, error) {
	var v View
	return v, c.call(ctx, http.MethodPut, path(route.Service), &ifMatch, route, &v)
}

// Delete frees the public address; requests in flight finish within the drain timeout.
func (c *Client) Delete(ctx context.Context, service string, ifMatch uint64) error {
	return c.call(ctx, http.MethodDelete, path(service), &ifMatch, nil, nil)
}

// Drain gives a slot no new requests, waits for those in flight up to the
// route's drain timeout, then cuts them; when it returns without an error no
// connection to the slot is open. A canary loses its weight by it; stable is
// refused with ErrConflict: put another stable first. Calling it again joins.
func (c *Client) Drain(ctx context.Context, service string, slot release.Slot) (View, error) {
	for {
		v, err := c.Get(ctx, service)
		if err != nil {
			return View{}, err
		}
		var after View
		err = c.call(ctx, http.MethodPost, path(service)+"/drain/"+string(slot), &v.Generation, nil, &after)
		if !errors.Is(err, ErrStale) {
			return after, err
		}
	}
}

// Counters are totals since the epoch; readers take differences.
func (c *Client) Counters(ctx context.Context, service string) (string, map[release.Slot]rpc.SlotCounters, error) {
	var v Counters
	err := c.call(ctx, http.MethodGet, path(service)+"/counters", nil, nil, &v)
	return v.Epoch, v.Slots, err
}

func path(service string) string { return "/v1/services/" + service }

// call asks again while one router takes over from another: then nothing was done.
func (c *Client) call(ctx context.Context, method, path string, ifMatch *uint64, in, out any) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	patience := time.NewTimer(movePatience)
	defer patience.Stop()
	for {
		err := c.once(ctx, method, path, ifMatch, in, out)
		if !errors.Is(err, errMoved) {
			return err
		}
		select {
		case <-time.After(moveInterval):
		case <-patience.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// once reads control.json each time: a router that restarted has another port
// and another token.
func (c *Client) once(ctx context.Context, method, path string, ifMatch *uint64, in, out any) error {
	what := "router: " + method + " " + path
	req, err := c.request(ctx, method, path, ifMatch, in)
	if err != nil {
		return problem.Wrap(problem.Failed, err, what, "")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return problem.Wrap(problem.Failed, c.unreached(req.URL.Host, err), what, "")
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return problem.Wrap(problem.Failed, fmt.Errorf("%w: %w", ErrUnavailable, err), what, "")
	}
	if res.StatusCode != http.StatusOK {
		return failed(what, res.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return problem.Wrap(problem.Failed, err, what, "")
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, ifMatch *uint64, in any) (*http.Request, error) {
	to, err := c.find()
	if err != nil {
		return nil, err
	}
	var body io.Reader = http.NoBody
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+to.Address+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+to.Token)
	if ifMatch != nil {
		req.Header.Set("If-Match", strconv.FormatUint(*ifMatch, 10))
	}
	return req, nil
}

// unreached tells a router that is gone from one that made room for another.
// That one refused changes before it was followed, so whatever it left
// unanswered, a request on a kept connection too, was not done. One that crashed
// may have done it: then the change is stale when it is asked for again.
func (c *Client) unreached(address string, err error) error {
	if now, missing := c.find(); missing == nil && now.Address != address {
		return fmt.Errorf("%w: %w", errMoved, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (c *Client) find() (control, error) {
	f, err := os.Open(filepath.Join(c.dir, controlName))
	if err != nil {
		return control{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer f.Close()
	var to control
	if err := json.NewDecoder(io.LimitReader(f, maxControlBody)).Decode(&to); err != nil {
		return control{}, fmt.Errorf("%w: %s: %w", ErrUnavailable, f.Name(), err)
	}
	return to, nil
}

// failed turns an answer back into the error it was.
func failed(what string, code int, data []byte) error {
	f := failure{Error: http.StatusText(code)}
	_ = json.Unmarshal(data, &f) // of something else than the router the status alone tells
	known := codes()[code]
	if f.Moved {
		known = errMoved
	}
	return problem.Wrap(problem.Failed, &remote{known, f.Error}, what, f.Hint)
}

// remote is an error with the words that the router found for it.
type remote struct {
	known error // nil: none that callers decide on
	text  string
}

func (e *remote) Error() string { return e.text }
func (e *remote) Unwrap() error { return e.known }
