package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

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
	logf     func(format string, args ...any)

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

func newRunner(w wine, logf func(format string, args ...any)) (*runner, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for agents: %w", err)
	}
	r := &runner{wine: w, listener: l, logf: logf, waiting: map[string]chan net.Conn{}}
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

// Start runs one command; ctx bounds the start only. What Wine fails to
// create, as it does now and then when the machine is busy, is tried again:
// nothing of it ran.
func (r *runner) Start(ctx context.Context, c wsman.Command) (wsman.Process, error) {
	if len(c.Line) > maxLine {
		return nil, errors.New("the command line is too long")
	}
	for n := 1; ; n++ {
		p, err := r.try(ctx, order{Line: c.Line, Dir: c.Dir, Env: c.Env, Direct: c.Direct})
		if err == nil {
			return p, nil
		}
		var unborn *unborn
		if n == tries || !errors.As(err, &unborn) || !unborn.passes() {
			return nil, err
		}
		r.logf("try %d: %v", n, err)
		if err := sleep(ctx, time.Duration(n)*tryPause); err != nil {
			return nil, err
		}
	}
}

// How often a command is started that could not be created, and how much
// longer each pause in between is.
const (
	tries    = 6
	tryPause = 100 * time.Millisecond
)

// unborn is why a command was not created.
type unborn struct {
	code uint32 // of Windows; 0: the agent did not come so far
	text string
}

func (u *unborn) Error() string { return u.text }

// passes tells whether the next try may do better: the agent did not live, a
// file is held open, Wine's server had no answer or no room.
func (u *unborn) passes() bool {
	const sharingViolation, internalError, noResources = 32, 1359, 1450
	return u.code == 0 || u.code == sharingViolation || u.code == internalError || u.code == noResources
}

func (r *runner) try(ctx context.Context, o order) (*process, error) {
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
		err = p.begin(o)
	case <-p.gone:
		err = &unborn{text: "start command: the agent ended early"}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		p.Kill()
		return nil, err
	}
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
