package winrm

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// client holds the links to one host and repeats what may be repeated.
type client struct {
	cfg   Config
	build builder
	slots chan struct{} // one per open link
	lost  atomic.Bool   // the last exchange failed on the way
	delay atomic.Int64  // nanoseconds an exchange takes at least
	spare *spare        // of sealed messages

	mu       sync.Mutex
	idle     []*link
	closed   bool
	refusals int // of the credentials, in a row
}

const (
	fallbackEnvelope = 150 << 10 // bytes, which every WinRM takes
	cleanupTimeout   = 10 * time.Second
	lostTimeout      = 2 * time.Second
	maxRest          = 60 * time.Second // of an idle link; hosts close them after 120
)

func newClient(cfg Config) *client {
	return &client{
		cfg:   cfg,
		build: builder{url: cfg.url(), timeout: cfg.OperationTimeout, envelope: fallbackEnvelope},
		slots: make(chan struct{}, cfg.MaxConns),
		spare: &spare{},
	}
}

// open makes the first link: is it WinRM, are we known there, what are its
// limits. The limits may be hidden from us; then the smallest ones hold.
func (c *client) open(ctx context.Context) error {
	err := c.repeat(ctx, true, func(ctx context.Context) error {
		l, err := dialLink(ctx, c.cfg)
		if errors.Is(err, errNoConnection) {
			return &phaseError{"dial", err} // not again: a person is waiting
		}
		if err != nil {
			return &phaseError{"dial", &linkError{err: err}}
		}
		defer l.close()
		if err := l.identify(ctx, c.cfg); err != nil {
			return &phaseError{"identify", err}
		}
		return nil
	})
	if err != nil {
		return c.explain(ctx, "identify", err)
	}
	b, err := c.do(ctx, c.build.config(), true)
	if err == nil {
		if size := b.envelopeSize(); size > 0 {
			c.build.envelope = size
		}
		return nil
	}
	var f *Fault
	if errors.As(err, &f) {
		return nil
	}
	return err
}

// do exchanges one message. again says that the host may act on it twice.
// Errors are *transport.Error; faults are found in their chain.
func (c *client) do(ctx context.Context, m message, again bool) (*body, error) {
	var b *body
	err := c.repeat(ctx, again, func(ctx context.Context) (err error) {
		b, err = c.try(ctx, m)
		return err
	})
	var f *Fault
	c.lost.Store(err != nil && !errors.As(err, &f) && ctx.Err() == nil)
	if err != nil {
		return nil, c.explain(ctx, m.phase, err)
	}
	return b, nil
}

// cleanup is a context that outlives its parent's end for a short while; for
// a shorter one if the host seems to be gone.
func (c *client) cleanup(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := cleanupTimeout
	if c.lost.Load() {
		limit = lostTimeout
	}
	return context.WithTimeoutCause(context.WithoutCancel(ctx), limit, errors.New("cleaning up took too long"))
}

func (c *client) try(ctx context.Context, m message) (*body, error) {
	l, err := c.get(ctx)
	if err != nil {
		return nil, err
	}
	limit := c.cfg.OperationTimeout + c.cfg.Grace
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	b, err := l.exchange(ctx, m)
	var f *Fault
	if err == nil || errors.As(err, &f) {
		c.put(l)
		return b, err
	}
	c.drop(l)
	return nil, c.countRefusal(err)
}

// repeat runs try until it succeeds, may not be repeated, or the host has
// been silent too long.
func (c *client) repeat(ctx context.Context, again bool, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Liveness, fmt.Errorf("%w for %s", errSilent, c.cfg.Liveness))
	defer cancel()
	for attempt := 0; ; attempt++ {
		err := try(ctx)
		if err == nil || ctx.Err() != nil || attempt >= c.cfg.Retries || !c.mayRepeat(err, again) {
			return err
		}
		if wait(ctx, backoff(c.cfg.RetryDelay, attempt)) != nil {
			return err
		}
	}
}

var errSilent = errors.New("the host answers nothing")

func (c *client) mayRepeat(err error, again bool) bool {
	var le *linkError
	var he *httpError
	var re *refusedError
	var lost *unheardError
	switch {
	case errors.As(err, &lost) && lost.spent:
		return false
	case certificateProblem(err) != nil, errors.Is(err, errReply), errors.Is(err, errSealed), errors.Is(err, errNotSealed):
		return false
	case errors.As(err, &re):
		return !re.final
	case errors.As(err, &he):
		return he.status == 401 && !c.denied() || he.status == 503 || he.status == 429 || he.status == 425
	case errors.As(err, &le):
		return again || !le.sent
	}
	return false
}

// get gives an idle link or makes one, up to the bound.
func (c *client) get(ctx context.Context) (*link, error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, &linkError{err: context.Cause(ctx)}
	}
	l, err := c.take()
	if l == nil && err == nil {
		l, err = c.connect(ctx)
	}
	if err != nil {
		<-c.slots
	}
	return l, err
}

func (c *client) take() (*link, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if c.refusals >= maxRefusals {
		return nil, errRefused
	}
	for n := len(c.idle); n > 0; n = len(c.idle) {
		l := c.idle[n-1]
		c.idle = c.idle[:n-1]
		if awake := l.wake(); awake && !l.over && time.Since(l.rested) < maxRest {
			return l, nil
		}
		l.close()
	}
	return nil, nil
}

var errClosed = errors.New("the connection was closed")

// connect makes a link. Its errors mean that the request itself was not sent.
func (c *client) connect(ctx context.Context) (*link, error) {
	cfg, creds, err := c.credentials(ctx)
	if err != nil {
		return nil, &phaseError{"authenticate", err}
	}
	l, err := dialLink(ctx, cfg)
	if err != nil {
		return nil, &phaseError{"dial", &linkError{err: err}}
	}
	if err := c.logon(ctx, l, creds); err != nil {
		l.close()
		var le *linkError
		var lost *unheardError
		if spent := errors.As(err, &lost) && lost.spent; !spent && errors.As(err, &le) {
			err = &linkError{err: le.err}
		}
		return nil, &phaseError{"authenticate", err}
	}
	if l.seals != nil {
		l.seals.spare = c.spare
	}
	return l, nil
}

func (c *client) put(l *link) {
	c.mu.Lock()
	if d := c.delay.Load(); d == 0 || int64(l.delay) < d {
		c.delay.Store(int64(l.delay))
	}
	c.refusals = 0
	closed := c.closed
	if !closed {
		l.rest()
		c.idle = append(c.idle, l)
	}
	c.mu.Unlock()
	if closed {
		l.close()
	}
	<-c.slots
}

func (c *client) drop(l *link) {
	l.close()
	<-c.slots
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, l := range c.idle {
		l.close()
	}
	c.idle = nil
}

// countRefusal notes a 401 where we had proved ourselves.
func (c *client) countRefusal(err error) error {
	var he *httpError
	if errors.As(err, &he) && he.status == 401 {
		c.mu.Lock()
		c.refusals++
		c.mu.Unlock()
	}
	return err
}

func (c *client) denied() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refusals >= maxRefusals
}

func backoff(first time.Duration, attempt int) time.Duration {
	d := min(first<<min(attempt, 10), 16*first)
	return d/2 + rand.N(d/2+1)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
