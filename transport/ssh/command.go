package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/go-shipper/shipper/transport"
)

const (
	maxWrite = 1 << 20 // bytes
	maxTail  = 4 << 10 // of stderr
)

func (c *conn) Run(ctx context.Context, line string, stdin io.Reader) (transport.Result, error) {
	if ctx.Err() != nil {
		return transport.Result{}, c.cfg.fail(transport.Broken, "command", "", context.Cause(ctx))
	}
	l, err := c.take(ctx)
	if err != nil {
		return transport.Result{}, err
	}
	ctx, cancel := c.alive(ctx)
	defer cancel()
	var out, errs bytes.Buffer
	s, err := c.start(ctx, l, line, func(s *ssh.Session) error {
		s.Stdin, s.Stdout, s.Stderr = stdin, &out, &errs
		return nil
	})
	if err != nil {
		c.drop(l)
		return transport.Result{}, err
	}
	stop := context.AfterFunc(ctx, func() { l.kill(s, context.Cause(ctx)) })
	code, err := exitCode(s.Wait())
	if !stop() || err != nil {
		why := firstOf(context.Cause(ctx), context.Cause(l.life), err)
		c.drop(l)
		return transport.Result{}, c.cfg.fail(transport.Broken, "receive", "", why)
	}
	s.Close()
	c.give(l)
	return transport.Result{Exit: code, Stdout: out.Bytes(), Stderr: errs.Bytes()}, nil
}

// firstOf is the first error there is: the cause before its consequence.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// start begins a program in a channel that prepare has connected. The
// connection does not outlive a start that was given up.
func (c *conn) start(ctx context.Context, l *link, line string, prepare func(*ssh.Session) error) (*ssh.Session, error) {
	defer context.AfterFunc(ctx, func() { l.end(context.Cause(ctx)) })()
	s, err := l.client.NewSession()
	if err != nil {
		return nil, c.cfg.fail(transport.Broken, "create", "", firstOf(context.Cause(l.life), err))
	}
	if err = prepare(s); err == nil {
		err = s.Start(line)
	}
	if err != nil {
		return nil, c.cfg.fail(transport.Broken, "command", "", firstOf(context.Cause(l.life), err))
	}
	return s, nil
}

// exitCode is the 32-bit exit code of a command that ended.
func exitCode(err error) (int, error) {
	var exit *ssh.ExitError
	if errors.As(err, &exit) && exit.Signal() == "" {
		return int(int32(uint32(exit.ExitStatus()))), nil //nolint:gosec // Windows' codes are 32 bits
	}
	return 0, err
}

// pipe is a program whose stdin and stdout are the pipe's.
type pipe struct {
	cfg     Config
	link    *link
	session *ssh.Session
	stdin   io.WriteCloser
	out     *io.PipeReader
	ended   chan struct{}
	closing sync.Once
}

func (c *conn) Pipe(ctx context.Context, line string) (transport.Pipe, error) {
	if ctx.Err() != nil {
		return nil, c.cfg.fail(transport.Broken, "command", "", context.Cause(ctx))
	}
	l, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	p := &pipe{cfg: c.cfg, link: l, ended: make(chan struct{})}
	out, in := io.Pipe()
	p.out = out
	var tail tail
	starting, cancel := c.alive(ctx)
	defer cancel()
	p.session, err = c.start(starting, l, line, func(s *ssh.Session) (err error) {
		s.Stdout, s.Stderr = in, &tail
		p.stdin, err = s.StdinPipe()
		return err
	})
	if err != nil {
		c.drop(l)
		return nil, err
	}
	stop := context.AfterFunc(c.life, func() { p.end(context.Cause(c.life)) })
	go func() {
		defer close(p.ended)
		code, err := exitCode(p.session.Wait())
		stop()
		in.CloseWithError(p.endOf(code, err, tail.b))
		c.drop(l)
	}()
	return p, nil
}

// endOf is what a Read gets after the last byte.
func (p *pipe) endOf(code int, err error, stderr []byte) error {
	switch {
	case err != nil:
		return p.cfg.fail(transport.Broken, "receive", "", firstOf(context.Cause(p.link.life), err))
	case code != 0:
		return &transport.Exited{Code: code, Stderr: stderr}
	}
	return io.EOF
}

func (p *pipe) Read(b []byte) (int, error) { return p.out.Read(b) }

func (p *pipe) MaxWrite() int { return maxWrite }

func (p *pipe) Write(b []byte) (int, error) {
	if len(b) > maxWrite {
		return 0, fmt.Errorf("write of %d bytes: at most %d", len(b), maxWrite)
	}
	n, err := p.stdin.Write(b)
	if err != nil {
		return n, p.cfg.fail(transport.Gone, "send", "", firstOf(context.Cause(p.link.life), err))
	}
	return n, nil
}

// Close ends the program and all that it started.
func (p *pipe) Close() error {
	p.end(io.ErrClosedPipe)
	<-p.ended
	return nil
}

func (p *pipe) end(why error) {
	p.closing.Do(func() {
		p.out.CloseWithError(why)
		p.link.kill(p.session, why)
	})
}

// tail keeps the end of what a program wrote to stderr.
type tail struct{ b []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b[max(0, len(b)-maxTail):]...)
	t.b = bytes.Clone(t.b[max(0, len(t.b)-maxTail):])
	return len(b), nil
}
