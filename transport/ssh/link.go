package ssh

import (
	"context"
	"errors"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/go-shipper/shipper/transport"
)

// link is one connection. Its life ends with a reason: the connection broke,
// the host fell silent, or it is not wanted any more.
type link struct {
	client *ssh.Client
	life   context.Context
	cancel context.CancelCauseFunc
}

func newLink(cfg Config, client *ssh.Client) *link {
	life, cancel := context.WithCancelCause(context.Background())
	l := &link{client: client, life: life, cancel: cancel}
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
		if !l.answers(cfg.Silence / 2) {
			l.end(cfg.fail(transport.Broken, "receive", "", errors.New("no answer within "+cfg.Silence.String())))
		}
	}
}

// answers asks for an answer of any kind.
func (l *link) answers(within time.Duration) bool {
	answered := make(chan struct{})
	go func() {
		_, _, _ = l.client.SendRequest("keepalive@openssh.com", true, nil) // a broken link says why elsewhere
		close(answered)
	}()
	limit := time.NewTimer(within)
	defer limit.Stop()
	select {
	case <-answered:
		return true
	case <-limit.C:
		return false
	}
}

// kill ends a program and what it started: by a signal to its group where
// the server knows signals, and by the end of the connection, with which
// Windows closes the program's job.
func (l *link) kill(s *ssh.Session, why error) {
	_ = s.Signal(ssh.SIGKILL) // it may have ended meanwhile
	l.end(why)
}
