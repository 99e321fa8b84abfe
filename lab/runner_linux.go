package lab

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-shipper/shipper/lab/wsman"
)

// agentName is the agent's file in C:\windows\system32.
const agentName = "shipper-lab-agent.exe"

// maxLine is how long a command line cmd.exe takes.
const maxLine = 8191

// runner starts commands in a prefix. Each has an agent of its own, which
// inherits the command's pipes from here, so that data flows at full speed,
// and gets the rest over a connection.
type runner struct {
	wine     wine
	listener net.Listener // on the host's loopback

	power sync.RWMutex // held while an agent is started, or the power is switched
	off   bool

	mu      sync.Mutex
	waiting map[string]chan net.Conn // by token
}

var errOff = errors.New("the host is switched off")

// order and report are lab/agent's messages.
type order struct {
	Line, Dir string
	Env       []string
	Direct    bool
}

type report struct {
	Started    bool
	Exit, Code uint32
	Error      string
}

func newRunner(w wine) (*runner, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for agents: %w", err)
	}
	r := &runner{wine: w, listener: l, waiting: map[string]chan net.Conn{}}
	go r.accept()
	return r, nil
}

// setPower lets commands start, or no more: one that started late would boot
// the prefix again.
func (r *runner) setPower(on bool) {
	r.power.Lock()
	defer r.power.Unlock()
	r.off = !on
}

func (r *runner) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		go r.welcome(c)
	}
}

// welcome hands a connection to the start that waits for its token.
func (r *runner) welcome(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	token := make([]byte, 33)
	if _, err := io.ReadFull(c, token); err != nil {
		c.Close()
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	r.mu.Lock()
	waiting := r.waiting[strings.TrimSpace(string(token))]
	delete(r.waiting, strings.TrimSpace(string(token)))
	r.mu.Unlock()
	if waiting == nil {
		c.Close()
		return
	}
	waiting <- c
}

func (r *runner) expect() (token string, conn chan net.Conn, forget func()) {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	token, conn = hex.EncodeToString(b[:]), make(chan net.Conn, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting[token] = conn
	return token, conn, func() {
		r.mu.Lock()
		delete(r.waiting, token)
		r.mu.Unlock()
	}
}

// Start runs one command; ctx bounds the start only.
func (r *runner) Start(ctx context.Context, c wsman.Command) (wsman.Process, error) {
	if len(c.Line) > maxLine {
		return nil, errors.New("the command line is too long")
	}
	token, conn, forget := r.expect()
	defer forget()
	p, err := newProcess(r.wine.command(`C:\windows\system32\` + agentName))
	if err != nil {
		return nil, err
	}
	p.agent.Env = append(p.agent.Env, "SHIPPER_LAB_AGENT="+r.listener.Addr().String(), "SHIPPER_LAB_TOKEN="+token)
	if err := r.launch(p); err != nil {
		return nil, err
	}
	select {
	case p.conn = <-conn:
	case <-p.gone:
		return nil, errors.New("start command: the agent ended early")
	case <-ctx.Done():
		p.Kill()
		return nil, context.Cause(ctx)
	}
	if err := p.begin(order{Line: c.Line, Dir: c.Dir, Env: c.Env, Direct: c.Direct}); err != nil {
		p.Kill()
		return nil, err
	}
	return p, nil
}

// process is one command and its agent.
type process struct {
	agent          *exec.Cmd
	stdin          *os.File
	stdout, stderr *output
	theirs         []*os.File // the agent's ends of the pipes
	conn           net.Conn
	reports        *json.Decoder
	gone           chan struct{} // closed when the agent has ended
	killed         sync.Once
}

// widen gives a pipe room for a whole Send: the endpoint answers when the data
// is in the pipe, as Windows does, and not when the program has read it.
func widen(f *os.File) {
	const room = 1 << 20
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, room) // less room is only slower
	})
}

func newProcess(agent *exec.Cmd) (*process, error) {
	p := &process{agent: agent, gone: make(chan struct{})}
	var files []*os.File
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("make pipes: %w", err)
		}
		files = append(files, r, w)
	}
	widen(files[1])
	p.stdin, p.stdout, p.stderr = files[1], &output{files[2]}, &output{files[4]}
	p.theirs = []*os.File{files[0], files[3], files[5]}
	agent.Stdin, agent.Stdout, agent.Stderr = files[0], files[3], files[5]
	return p, nil
}

func (r *runner) launch(p *process) error {
	r.power.RLock()
	defer r.power.RUnlock()
	err := errOff
	if !r.off {
		err = p.agent.Start()
	}
	for _, f := range p.theirs {
		f.Close()
	}
	if err != nil {
		p.release()
		return fmt.Errorf("start agent: %w", err)
	}
	go func() {
		_ = p.agent.Wait() // its end is what counts
		close(p.gone)
	}()
	return nil
}

// begin gives the order and hears whether the command runs.
func (p *process) begin(o order) error {
	if err := json.NewEncoder(p.conn).Encode(o); err != nil {
		return fmt.Errorf("give order: %w", err)
	}
	p.reports = json.NewDecoder(bufio.NewReader(p.conn))
	var r report
	if err := p.reports.Decode(&r); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	if !r.Started {
		if r.Code == 2 || r.Code == 3 {
			return wsman.ErrNoFile
		}
		return errors.New(r.Error)
	}
	return nil
}

func (p *process) Stdin() io.WriteCloser { return p.stdin }
func (p *process) Stdout() io.Reader     { return p.stdout }
func (p *process) Stderr() io.Reader     { return p.stderr }

// Wait returns when the command itself has ended. What it left running in the
// background lives until Kill.
func (p *process) Wait() (uint32, error) {
	var r report
	err := p.reports.Decode(&r)
	_ = p.stdin.Close() // who still writes gets an error, as from a broken pipe
	p.stdout.finish()
	p.stderr.finish()
	if err != nil {
		return 1, fmt.Errorf("the command was ended: %w", err)
	}
	return r.Exit, nil
}

// Kill hangs up on the agent, which ends with its whole job.
func (p *process) Kill() {
	p.killed.Do(func() {
		if p.conn != nil {
			p.conn.Close()
		}
		go func() {
			select {
			case <-p.gone:
			case <-time.After(5 * time.Second):
				_ = p.agent.Process.Kill() // the job's handle goes with it
				<-p.gone
			}
			p.release()
		}()
	})
}

func (p *process) release() {
	p.stdin.Close()
	p.stdout.file.Close()
	p.stderr.file.Close()
}

// output reads a pipe whose other end may outlive the command, because
// Wine's processes keep it: after finish it gives what is in the pipe, and
// then the end.
type output struct{ file *os.File }

func (o *output) finish() { _ = o.file.SetReadDeadline(time.Unix(1, 0)) }

func (o *output) Read(b []byte) (int, error) {
	n, err := o.file.Read(b)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	raw, err := o.file.SyscallConn()
	if err != nil {
		return 0, io.EOF
	}
	n = 0
	err = raw.Control(func(fd uintptr) { n, _ = syscall.Read(int(fd), b) }) // the descriptor does not block
	if err != nil || n <= 0 {
		return 0, io.EOF
	}
	return n, nil
}
