package lab

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
)

// A daemon is controlled over a socket in its folder: one line of JSON each
// way. After an exec request frames go both ways, and the answer is the last.

type controlRequest struct {
	Op     string // exec, reboot, faults
	Line   string
	Down   time.Duration
	Faults Faults
}

type controlReply struct {
	Error string
	Exit  uint32
}

// Kinds of frames.
const (
	frameStdin  = 'i' // an empty one ends it
	frameStdout = 'o'
	frameStderr = 'e'
	frameReply  = 'r'

	maxFrame = 64 << 10
)

// socketPath names the control socket by way of an open folder: paths of
// sockets may not be longer than 108 bytes.
func socketPath(dir string) (path string, release func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/control", f.Fd()), func() { f.Close() }, nil
}

func (d *daemon) listenControl() error {
	path, release, err := socketPath(d.dir)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	defer release()
	_ = os.Remove(filepath.Join(d.dir, "control"))
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("open control socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.control(c)
		}
	}()
	return nil
}

func (d *daemon) control(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	line, err := in.ReadBytes('\n')
	var r controlRequest
	if err != nil || json.Unmarshal(line, &r) != nil {
		return
	}
	ctx := context.Background()
	var reply controlReply
	switch r.Op {
	case "exec":
		reply.Exit, err = d.exec(ctx, r.Line, in, &frameWriter{w: c})
	case "reboot":
		err = d.reboot(ctx, r.Down)
	case "faults":
		err = d.setFaults(r.Faults)
	default:
		err = fmt.Errorf("unknown operation %q", r.Op)
	}
	if err != nil {
		reply.Error = err.Error()
	}
	b, _ := json.Marshal(reply) // two plain fields
	_ = (&frameWriter{w: c}).frame(frameReply, b)
}

func (d *daemon) setFaults(f Faults) error {
	d.power.Lock()
	defer d.power.Unlock()
	if d.server == nil {
		return errOff
	}
	d.server.SetFaults(wsman.Faults(f))
	return nil
}

// exec runs a command as the agent does, without WinRM.
func (d *daemon) exec(ctx context.Context, line string, in io.Reader, out *frameWriter) (uint32, error) {
	p, err := d.runner.Start(ctx, wsman.Command{Line: line})
	if err != nil {
		return 0, err
	}
	defer p.Kill()
	go func() {
		defer p.Kill() // who asked is gone
		for {
			_, data, err := readFrame(in)
			if err != nil {
				return
			}
			if len(data) == 0 {
				_ = p.Stdin().Close()
				continue
			}
			_, _ = p.Stdin().Write(data) // a program need not read
		}
	}()
	var outputs sync.WaitGroup
	outputs.Go(func() { _, _ = io.Copy(out.stream(frameStdout), p.Stdout()) })
	outputs.Go(func() { _, _ = io.Copy(out.stream(frameStderr), p.Stderr()) })
	exit, err := p.Wait()
	outputs.Wait()
	return exit, err
}

// frameWriter writes frames: kind, length (4 bytes, big end first), data.
type frameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (w *frameWriter) frame(kind byte, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(data)))
	_, err := w.w.Write(append(head, data...))
	return err
}

func (w *frameWriter) stream(kind byte) io.Writer { return frameStream{w, kind} }

type frameStream struct {
	w    *frameWriter
	kind byte
}

func (s frameStream) Write(b []byte) (int, error) {
	for n := 0; n < len(b); n += maxFrame {
		if err := s.w.frame(s.kind, b[n:min(n+maxFrame, len(b))]); err != nil {
			return n, err
		}
	}
	return len(b), nil
}

func readFrame(r io.Reader) (kind byte, data []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, errors.New("frame is too long")
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	return head[0], data, err
}

// ask sends a request to a host's daemon and waits for its reply.
func (l *Lab) ask(ctx context.Context, host string, r controlRequest, stdin io.Reader, stdout, stderr io.Writer) (uint32, error) {
	path, release, err := socketPath(l.hostDir(host))
	if err != nil {
		return 0, err
	}
	defer release()
	c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	b, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	if _, err := c.Write(append(b, '\n')); err != nil {
		return 0, err
	}
	if r.Op == "exec" {
		go feed(&frameWriter{w: c}, stdin)
	}
	exit, err := replies(c, stdout, stderr)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	return exit, err
}

// feed sends all of stdin and its end.
func feed(w *frameWriter, stdin io.Reader) {
	if stdin != nil {
		_, _ = io.Copy(w.stream(frameStdin), stdin) // whoever cannot read it knows
	}
	_ = w.frame(frameStdin, nil)
}

func replies(c io.Reader, stdout, stderr io.Writer) (uint32, error) {
	in := bufio.NewReader(c)
	for {
		kind, data, err := readFrame(in)
		if err != nil {
			return 0, fmt.Errorf("the daemon hung up: %w", err)
		}
		switch kind {
		case frameStdout:
			_, err = stdout.Write(data)
		case frameStderr:
			_, err = stderr.Write(data)
		case frameReply:
			var r controlReply
			if err := json.Unmarshal(data, &r); err != nil {
				return 0, err
			}
			if r.Error != "" {
				return 0, errors.New(r.Error)
			}
			return r.Exit, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
