package service

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// runProcess is the life under a person, systemd, or another supervisor.
func (s *Service) runProcess(ctx context.Context) error {
	n, err := newNotifier(os.Getenv)
	if err != nil {
		return err
	}
	defer n.close()
	if s.sockets, err = inheritedSockets(os.Getenv); err != nil {
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	go s.obey(ctx, signals, n)
	stop := n.follow(ctx, s)
	defer stop()
	return s.live(ctx)
}

// obey does what signals ask for. On Windows ctrl-break comes as an
// interrupt, and a console that is closed, a logoff and a shutdown as SIGTERM.
// The second one that asks for an end takes the process away at once.
func (s *Service) obey(ctx context.Context, signals chan os.Signal, n *notifier) {
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGHUP && len(s.o.reload) > 0 {
				s.reloadNotified(ctx, n)
				continue
			}
			signal.Stop(signals)
			s.Stop(fmt.Errorf("%w by %s", ErrStop, sig))
			return
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) reloadNotified(ctx context.Context, n *notifier) {
	n.reloading()
	status := "reloaded"
	if err := s.Reload(ctx); err != nil {
		status = "reload refused: " + err.Error()
	}
	n.send("READY=1", "STATUS="+oneLine(status))
}
