package local

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"

	"github.com/go-shipper/shipper/transport"
)

type pipe struct {
	owner   *conn
	cmd     *exec.Cmd
	tree    *tree
	stdin   io.WriteCloser
	out     *io.PipeReader
	ended   chan struct{}
	closing sync.Once
}

func (c *conn) Pipe(ctx context.Context, line string) (transport.Pipe, error) {
	if ctx.Err() != nil {
		return nil, c.fail(transport.Broken, "command", context.Cause(ctx))
	}
	if err := c.enter(); err != nil {
		return nil, err
	}
	defer c.runs.Done()
	p := &pipe{owner: c, cmd: shell(line), ended: make(chan struct{})}
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, c.fail(transport.Broken, "command", err)
	}
	out, in := io.Pipe()
	var tail tail
	p.stdin, p.out, p.cmd.Stdout, p.cmd.Stderr, p.cmd.WaitDelay = stdin, out, in, &tail, killGrace
	if p.tree, err = startTree(p.cmd); err != nil {
		return nil, c.fail(transport.Broken, "command", err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code tells
		in.CloseWithError(endOf(p.cmd, tail.b))
	}()
	c.mu.Lock()
	c.pipes[p] = struct{}{}
	c.mu.Unlock()
	return p, nil
}

func endOf(cmd *exec.Cmd, stderr []byte) error {
	if exit := exitCode(cmd); exit != 0 {
		return &transport.Exited{Code: exit, Stderr: stderr}
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
		return n, p.owner.fail(transport.Gone, "send", err)
	}
	return n, nil
}

// Close ends the program and all that it started.
func (p *pipe) Close() error {
	p.closing.Do(func() {
		p.tree.kill()
		p.out.CloseWithError(io.ErrClosedPipe)
		<-p.ended
		p.stdin.Close()
		p.tree.release()
		p.owner.mu.Lock()
		delete(p.owner.pipes, p)
		p.owner.mu.Unlock()
	})
	return nil
}

// tail keeps the end of what a program wrote to stderr.
type tail struct{ b []byte }

const maxTail = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b[max(0, len(b)-maxTail):]...)
	t.b = bytes.Clone(t.b[max(0, len(t.b)-maxTail):])
	return len(b), nil
}
