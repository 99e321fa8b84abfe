// Package local is the way to the machine the controller itself runs on:
// a runner that releases to itself, simulations and tests.
package local

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/go-shipper/shipper/transport"
)

// Config has no settings that are needed; Host is the name in errors,
// default "localhost".
type Config struct {
	Host string
}

const (
	maxWrite  = 1 << 20         // bytes
	killGrace = 2 * time.Second // for output of a command that has ended, and its like
	feedGrace = time.Second     // for an input that outlives its command
)

// Dial gives a connection to this machine. Commands run by `sh -c`, on
// Windows by `cmd /c`, with the rights of this process.
func Dial(ctx context.Context, cfg Config) (transport.Conn, error) {
	if cfg.Host == "" {
		cfg.Host = "localhost"
	}
	if ctx.Err() != nil {
		return nil, &transport.Error{Kind: transport.Broken, Host: cfg.Host, Phase: "dial", Err: context.Cause(ctx)}
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	return &conn{host: cfg.Host, life: life, cancel: cancel, pipes: map[*pipe]struct{}{}}, nil
}

var errClosed = errors.New("the connection was closed")

type conn struct {
	host   string
	life   context.Context // until Close
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	runs  sync.WaitGroup
	pipes map[*pipe]struct{}
}

func (c *conn) fail(kind transport.Kind, phase string, err error) error {
	return &transport.Error{Kind: kind, Host: c.host, Phase: phase, Err: err}
}

// enter keeps Close from returning before what was entered has ended.
func (c *conn) enter() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.Err() != nil {
		return c.fail(transport.Gone, "command", errClosed)
	}
	c.runs.Add(1)
	return nil
}

func (c *conn) Run(ctx context.Context, line string, stdin io.Reader) (transport.Result, error) {
	if err := c.enter(); err != nil {
		return transport.Result{}, err
	}
	defer c.runs.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(errClosed) })()
	cmd := shell(line)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, killGrace
	feed, err := input(cmd, stdin)
	if err != nil {
		return transport.Result{}, c.fail(transport.Broken, "command", err)
	}
	p, err := startTree(cmd)
	if err != nil {
		return transport.Result{}, c.fail(transport.Broken, "command", err)
	}
	stop := context.AfterFunc(ctx, p.kill)
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		if err := feed(); err != nil {
			cancel(err) // without its input the command may never end
		}
	}()
	err = cmd.Wait()
	stop()
	p.kill() // what the command left running
	p.release()
	if ctx.Err() != nil {
		return transport.Result{}, c.fail(transport.Broken, "receive", context.Cause(ctx))
	}
	awaitFor(fed, feedGrace)
	r := transport.Result{Exit: exitCode(cmd), Stdout: out.Bytes(), Stderr: errs.Bytes()}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return r, c.fail(transport.Broken, "receive", err)
	}
	return r, nil
}

func exitCode(cmd *exec.Cmd) int { return int(int32(cmd.ProcessState.ExitCode())) }

func (c *conn) Close() error {
	c.mu.Lock()
	c.cancel(errClosed)
	pipes := make([]*pipe, 0, len(c.pipes))
	for p := range c.pipes {
		pipes = append(pipes, p)
	}
	c.mu.Unlock()
	for _, p := range pipes {
		p.Close()
	}
	c.runs.Wait()
	return nil
}
