package winrm

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/go-shipper/shipper/transport"
)

// pipe is a program with its own shell.
type pipe struct {
	input
	owner   *conn
	cancel  context.CancelCauseFunc
	out     *io.PipeReader
	in      *io.PipeWriter
	ended   chan struct{} // the receive loop is over
	closing sync.Once
	err     error // of closing
}

func (c *conn) Pipe(ctx context.Context, line string) (transport.Pipe, error) {
	s, err := c.c.openShell(ctx)
	if err != nil {
		return nil, err
	}
	k, err := s.start(ctx, line)
	if err != nil {
		done, cancel := c.c.cleanup(ctx)
		defer cancel()
		return nil, errors.Join(err, s.close(done))
	}
	life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	p := &pipe{input: newInput(life, k), owner: c, cancel: cancel, ended: make(chan struct{})}
	p.out, p.in = io.Pipe()
	go p.pump()
	c.restShort()
	return p, p.enroll()
}

// enroll makes the connection's Close end the pipe.
func (p *pipe) enroll() error {
	c := p.owner
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.pipes[p] = struct{}{}
	}
	c.mu.Unlock()
	if closed {
		return errors.Join(c.c.explain(p.ctx, "create", errClosed), p.Close())
	}
	return nil
}

// pump brings the program's output until it ends, beside whatever is sent.
func (p *pipe) pump() {
	defer close(p.ended)
	var tail tail
	for {
		o, err := p.k.receive(p.ctx)
		tail.add(o.stderr)
		if len(o.stdout) > 0 {
			if _, err := p.in.Write(o.stdout); err != nil {
				return // closed by us
			}
		}
		if err == nil && o.done {
			err = ended(int(o.exit), tail.b)
			p.cancel(err)
		}
		if err != nil {
			p.in.CloseWithError(err)
			return
		}
	}
}

// ended is what reading the pipe gives at the end of the program.
func ended(exit int, stderr []byte) error {
	if exit == 0 {
		return io.EOF
	}
	return &transport.Exited{Code: exit, Stderr: stderr}
}

func (p *pipe) Read(b []byte) (int, error) { return p.out.Read(b) }

// Close ends the program and all that it started: a host does that when it
// deletes the shell.
func (p *pipe) Close() error {
	ctx, cancel := p.owner.c.cleanup(context.Background())
	defer cancel()
	return p.end(ctx)
}

func (p *pipe) end(ctx context.Context) error {
	p.closing.Do(func() {
		p.out.CloseWithError(io.ErrClosedPipe)
		p.err = p.k.close(ctx)
		p.cancel(io.ErrClosedPipe)
		<-p.ended
		p.owner.mu.Lock()
		delete(p.owner.pipes, p)
		p.owner.mu.Unlock()
	})
	return p.err
}

// tail keeps the end of what a program wrote to stderr.
type tail struct{ b []byte }

const maxTail = 4 << 10

func (t *tail) add(b []byte) {
	t.b = append(t.b, b...)
	if n := len(t.b); n > maxTail {
		t.b = append(t.b[:0], t.b[n-maxTail:]...)
	}
}
