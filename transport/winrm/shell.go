package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-shipper/shipper/transport"
)

const (
	shellName    = "shipper"
	shellIdle    = 180 * time.Second // after which a host frees what we left behind
	maxLine      = 8000              // of 8191 that cmd.exe takes, in bytes
	emptyPause   = 20 * time.Millisecond
	busyPatience = 30 * time.Second // for a host that still swallows the Send before
)

// shell is a remote shell; all that runs in it dies with it.
type shell struct {
	c  *client
	id string
}

func (c *client) newShell(ctx context.Context) (*shell, error) {
	b, err := c.do(ctx, c.build.create(shellName, shellIdle), true)
	if err != nil {
		return nil, err
	}
	id, err := b.shellID()
	if err != nil {
		return nil, c.explain(ctx, "create", err)
	}
	return &shell{c: c, id: id}, nil
}

func (s *shell) close(ctx context.Context) error {
	_, err := s.c.do(ctx, s.c.build.delete(s.id), true)
	if isKind(err, transport.Gone) {
		return nil
	}
	return err
}

// command is a running program in a shell.
type command struct {
	*shell
	id    string
	spare [2][]byte // memory of Sends: of the one under way, and of the next
}

// start is never repeated once it may have reached the host.
func (s *shell) start(ctx context.Context, line string) (*command, error) {
	if err := checkLine(line); err != nil {
		return nil, &transport.Error{Kind: transport.Broken, Host: s.c.cfg.Host, Phase: "command", Err: err}
	}
	b, err := s.c.do(ctx, s.c.build.command(s.id, line), false)
	if err != nil {
		return nil, err
	}
	id, err := b.commandID()
	if err != nil {
		return nil, s.c.explain(ctx, "command", err)
	}
	return &command{shell: s, id: id}, nil
}

func checkLine(line string) error {
	if len(line) > maxLine {
		return fmt.Errorf("command line of %d bytes: at most %d", len(line), maxLine)
	}
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' }) {
		return errors.New("command line with a control character")
	}
	return nil
}

// receive waits for output. A host without any says so each
// OperationTimeout, which is a sign of life. Asking again after a broken
// exchange brings the same data.
func (k *command) receive(ctx context.Context) (output, error) {
	for {
		b, err := k.c.do(ctx, k.c.build.receive(k.shell.id, k.id), true)
		if isFault(err, codeTimedOut) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return output{}, err
		}
		o, err := b.received(k.id)
		if err != nil {
			return output{}, k.c.explain(ctx, "receive", err)
		}
		if o.done || len(o.stdout)+len(o.stderr) > 0 {
			return o, nil
		}
		if err := wait(ctx, emptyPause); err != nil { // a host that answers nothing, and at once
			return output{}, k.c.explain(ctx, "receive", err)
		}
	}
}

// send hands data to the program's stdin. twice allows that the data arrives
// twice: a Send that timed out on the host may still have been delivered.
func (k *command) send(ctx context.Context, data []byte, end, twice bool) error {
	return k.post(ctx, k.ready(data, end), twice)
}

// ready makes the message of a Send, in the memory of the one before the last.
func (k *command) ready(data []byte, end bool) message {
	m := k.c.build.send(k.spare[0], k.shell.id, k.id, data, end)
	k.spare = [2][]byte{k.spare[1], m.body}
	return m
}

func (k *command) post(ctx context.Context, m message, twice bool) error {
	busy := time.Now().Add(busyPatience)
	for attempt := 0; ; attempt++ {
		_, err := k.c.do(ctx, m, twice)
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case isFault(err, codeTimedOut) && twice:
		case isFault(err, codeBusy) && time.Now().Before(busy):
			if err := wait(ctx, backoff(k.c.cfg.RetryDelay, min(attempt, 2))); err != nil {
				return k.c.explain(ctx, "send", err)
			}
		default:
			return err
		}
	}
}

// terminate ends the program, and frees what the host keeps of an ended one.
func (k *command) terminate(ctx context.Context) error {
	_, err := k.c.do(ctx, k.c.build.signal(k.shell.id, k.id, signalTerminate), true)
	if isKind(err, transport.Gone) {
		return nil
	}
	return err
}

// feed copies r to the program's stdin and ends it.
func (k *command) feed(ctx context.Context, r io.Reader) error {
	if r != nil {
		buf := make([]byte, k.c.build.maxSend())
		for {
			n, err := io.ReadFull(r, buf)
			if n > 0 {
				if err := k.send(ctx, buf[:n], false, false); err != nil {
					return err
				}
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("read input of the command: %w", err)
			}
		}
	}
	return k.send(ctx, nil, true, true)
}

func isFault(err error, code uint32) bool {
	var f *Fault
	return errors.As(err, &f) && f.is(code)
}

func isKind(err error, kind transport.Kind) bool {
	var e *transport.Error
	return errors.As(err, &e) && e.Kind == kind
}
