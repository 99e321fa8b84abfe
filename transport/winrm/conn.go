package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-shipper/shipper/transport"
)

const (
	feedGrace = time.Second // for an input that outlives its program
	maxResult = 16 << 20    // of one command's output, in bytes
)

// conn is a transport.Conn: one shell for short commands, one for each pipe,
// so that ending a pipe ends its process tree and nothing else.
type conn struct {
	c       *client
	opening chan struct{} // held while the short shell is opened

	mu     sync.Mutex
	short  *shell
	runs   int // commands of the short shell
	pipes  map[*pipe]struct{}
	closed bool
	tidy   sync.WaitGroup // commands that are being freed
}

func newConn(c *client) *conn {
	return &conn{c: c, opening: make(chan struct{}, 1), pipes: map[*pipe]struct{}{}}
}

func (c *conn) Run(ctx context.Context, line string, stdin io.Reader) (transport.Result, error) {
	c.count(1)
	defer c.count(-1)
	k, err := c.startShort(ctx, line)
	if err != nil {
		return transport.Result{}, err
	}
	defer c.free(ctx, k)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		if err := k.feed(ctx, stdin); err != nil && !isKind(err, transport.Gone) {
			cancel(err) // without its input the command may never end
		}
	}()
	res, err := k.collect(ctx)
	if err == nil {
		awaitFor(fed, feedGrace)
		return res, nil
	}
	var te *transport.Error
	if cause := context.Cause(ctx); errors.As(cause, &te) {
		err = cause
	}
	return res, err
}

// collect gathers output until the command ended.
func (k *command) collect(ctx context.Context) (transport.Result, error) {
	var r transport.Result
	for {
		o, err := k.receive(ctx)
		if err != nil {
			return r, err
		}
		r.Stdout, r.Stderr = append(r.Stdout, o.stdout...), append(r.Stderr, o.stderr...)
		if o.done {
			r.Exit = int(o.exit)
			return r, nil
		}
		if len(r.Stdout)+len(r.Stderr) > maxResult {
			return r, k.c.explain(ctx, "receive", fmt.Errorf("more than %d bytes of output", maxResult))
		}
	}
}

func (c *conn) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs += n
}

// restShort gives the shell of short commands back while none runs: a host
// counts every command of a shell, ended ones too, until the shell is closed.
func (c *conn) restShort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.short
	if s == nil || c.runs > 0 || c.closed {
		return
	}
	c.short = nil
	c.tidy.Go(func() {
		ctx, cancel := c.c.cleanup(context.Background())
		defer cancel()
		_ = s.close(ctx) // one that stays behind is freed by its idle timeout
	})
}

// startShort starts a command in the shell for short ones. A shell that the
// host has freed meanwhile is replaced once.
func (c *conn) startShort(ctx context.Context, line string) (*command, error) {
	for attempt := 0; ; attempt++ {
		s, err := c.shortShell(ctx)
		if err != nil {
			return nil, err
		}
		k, err := c.begin(ctx, s, line)
		if !isKind(err, transport.Gone) || attempt > 0 {
			return k, err
		}
		c.forget(s)
	}
}

// begin starts a command even if its caller leaves meanwhile: what the host
// has begun has a name only with the reply, and must be ended by that name.
func (c *conn) begin(ctx context.Context, s *shell, line string) (*command, error) {
	type started struct {
		k   *command
		err error
	}
	reply := make(chan started, 1)
	go func() {
		k, err := s.start(context.WithoutCancel(ctx), line)
		reply <- started{k, err}
	}()
	select {
	case r := <-reply:
		return r.k, r.err
	case <-ctx.Done():
		go func() {
			if r := <-reply; r.err == nil {
				c.free(ctx, r.k)
			}
		}()
		return nil, c.c.explain(ctx, "command", context.Cause(ctx))
	}
}

func (c *conn) shortShell(ctx context.Context) (*shell, error) {
	select {
	case c.opening <- struct{}{}:
		defer func() { <-c.opening }()
	case <-ctx.Done():
		return nil, c.c.explain(ctx, "create", context.Cause(ctx))
	}
	c.mu.Lock()
	s, closed := c.short, c.closed
	c.mu.Unlock()
	if closed {
		return nil, c.c.explain(ctx, "create", errClosed)
	}
	if s != nil {
		return s, nil
	}
	s, err := c.c.openShell(ctx)
	if err != nil {
		return nil, err
	}
	return s, c.keep(ctx, s)
}

// keep remembers the shell, unless the connection was closed meanwhile.
func (c *conn) keep(ctx context.Context, s *shell) error {
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.short = s
	}
	c.mu.Unlock()
	if !closed {
		return nil
	}
	return errors.Join(c.c.explain(ctx, "create", errClosed), s.close(ctx))
}

func (c *conn) forget(s *shell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.short == s {
		c.short = nil
	}
}

// free ends a command without keeping its caller waiting.
func (c *conn) free(ctx context.Context, k *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return // its shell is being deleted
	}
	c.tidy.Add(1)
	go func() {
		defer c.tidy.Done()
		ctx, cancel := c.c.cleanup(ctx)
		defer cancel()
		_ = k.terminate(ctx) // the shell's end frees it too
	}()
}

func (c *conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	short, pipes := c.short, make([]*pipe, 0, len(c.pipes))
	for p := range c.pipes {
		pipes = append(pipes, p)
	}
	c.mu.Unlock()
	ctx, cancel := c.c.cleanup(context.Background())
	defer cancel()
	errs := make([]error, len(pipes)+1)
	var wg sync.WaitGroup
	for i, p := range pipes {
		wg.Go(func() { errs[i] = p.end(ctx) })
	}
	c.tidy.Wait()
	if short != nil {
		errs[len(pipes)] = short.close(ctx)
	}
	wg.Wait()
	c.c.close()
	return errors.Join(errs...)
}

func awaitFor(done <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}
