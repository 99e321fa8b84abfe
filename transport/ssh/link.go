package ssh

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/go-shipper/shipper/transport"
)

// lastWord is the time to tell a host to end a program.
const lastWord = time.Second

// link is one connection. Its life ends with a reason: the connection broke,
// the host fell silent, or it is not wanted any more.
type link struct {
	client *ssh.Client
	wire   *wire
	life   context.Context
	cancel context.CancelCauseFunc
}

func newLink(cfg Config, w *wire, client *ssh.Client) *link {
	life, cancel := context.WithCancelCause(context.Background())
	l := &link{client: client, wire: w, life: life, cancel: cancel}
	go func() {
		l.end(cfg.fail(transport.Broken, "receive", "", client.Wait()))
	}()
	go l.watch(cfg)
	return l
}

func (l *link) end(why error) {
	l.cancel(why)
	l.client.Close() // one that is broken already says so here
}

// watch gives the host up when it does not answer at all any more: nothing
// else notices a half-open connection.
func (l *link) watch(cfg Config) {
	tick := time.NewTicker(cfg.Silence / 2)
	defer tick.Stop()
	for {
		select {
		case <-l.life.Done():
			return
		case <-tick.C:
		}
		if err := l.answers(cfg.Silence); err != nil {
			l.end(cfg.fail(transport.Broken, "receive", "", err))
		}
	}
}

// answers asks for an answer of any kind, half of the silence long.
func (l *link) answers(silence time.Duration) error {
	answered := make(chan error, 1)
	go func() {
		if l.wire.takes(l.life) {
			_, _, err := l.client.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		}
	}()
	limit := time.NewTimer(silence / 2)
	defer limit.Stop()
	select {
	case err := <-answered:
		return err
	case <-l.life.Done():
		return context.Cause(l.life)
	case <-limit.C:
		return fmt.Errorf("no answer within %s", silence)
	}
}

// kill ends a program and what it started: by a signal to its group where
// the server knows signals, and by the end of the connection, with which
// Windows closes the program's job. A host that takes nothing in any more is
// not waited for.
func (l *link) kill(s *ssh.Session, why error) {
	limit := time.AfterFunc(lastWord, func() { l.end(why) })
	if l.wire.takes(l.life) {
		_ = s.Signal(ssh.SIGKILL) // it may have ended meanwhile
	}
	limit.Stop()
	l.end(why)
}

// wire is below the library, which holds a lock while it writes: what would
// have to wait for a host that takes nothing in is seen here.
type wire struct {
	net.Conn
	writing chan struct{} // held by who writes
}

func (w *wire) Write(b []byte) (int, error) {
	w.writing <- struct{}{}
	defer func() { <-w.writing }()
	return w.Conn.Write(b)
}

// takes waits until nothing is under way any more; false: it ended before.
func (w *wire) takes(life context.Context) bool {
	select {
	case w.writing <- struct{}{}:
		<-w.writing
		return true
	case <-life.Done():
		return false
	}
}
