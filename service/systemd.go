package service

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// notifier tells systemd about the service, by sd_notify(3). Without
// NOTIFY_SOCKET it tells nobody.
type notifier struct {
	conn     *net.UnixConn // nil: nobody listens
	watchdog time.Duration // 0: none
}

func newNotifier(env func(string) string) (*notifier, error) {
	path := env("NOTIFY_SOCKET")
	if path == "" {
		return &notifier{}, nil
	}
	if path[0] == '@' { // an abstract one
		path = "\x00" + path[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	return &notifier{conn: conn, watchdog: watchdogOf(env, os.Getpid())}, nil
}

// watchdogOf is the time within which systemd wants to hear of us, or zero.
func watchdogOf(env func(string) string, pid int) time.Duration {
	if of := env("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return 0
	}
	usec, err := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}

// send tells systemd what changed; it that does not listen is no reason to stop.
func (n *notifier) send(lines ...string) {
	if n.conn != nil {
		_, _ = n.conn.Write([]byte(strings.Join(lines, "\n")))
	}
}

func (n *notifier) close() {
	if n.conn != nil {
		n.conn.Close()
	}
}

// reloading begins a reload; READY=1 ends it.
func (n *notifier) reloading() {
	n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// oneLine keeps what people wrote from being read as more than a status.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// pendingBeat is how often a start or a stop that takes long asks for more
// time, and extend how much it asks for.
const (
	pendingBeat = 5 * time.Second
	extend      = 3 * pendingBeat
)

// follow tells systemd of every state, answers its watchdog while the service
// is alive, and asks for time while it starts or stops, which the service
// itself bounds. The returned function ends that.
func (n *notifier) follow(ctx context.Context, s *Service) (stop func()) {
	if n.conn == nil {
		return func() {}
	}
	s.OnState(func(t Transition) {
		status := "STATUS=" + oneLine(string(t.To)+": "+t.Reason)
		switch {
		case t.From == Init && t.To == Running:
			n.send("READY=1", status)
		case t.To == Stopping:
			n.send("STOPPING=1", status)
		default:
			n.send(status)
		}
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // also while it stops
	var beating sync.WaitGroup
	if n.watchdog > 0 {
		beating.Go(func() {
			every(ctx, n.watchdog/2, func() {
				if s.Alive() == nil {
					n.send("WATCHDOG=1")
				}
			})
		})
	}
	beating.Go(func() {
		every(ctx, pendingBeat, func() {
			if state := s.State().To; state == Init || state == Stopping {
				n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extend.Microseconds()))
			}
		})
	})
	return func() { cancel(); beating.Wait() }
}

// every does something at once and then periodically, until ctx ends.
func every(ctx context.Context, d time.Duration, do func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		do()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
