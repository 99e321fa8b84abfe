package scm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

// While a start or stop is pending, progress is reported every beat, with a
// hint that leaves room for several missed ones.
const (
	beat     = time.Second
	waitHint = 20 * beat
)

const accepted = svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown

// RunService runs a service's body under the service manager: start and stop
// pending with checkpoints, stop, shutdown and preshutdown end its context, an
// error becomes a service-specific exit code (see ExitCode). Started by a
// person, in a console, ctrl-c and ctrl-break end it. It returns the body's error.
func RunService(name string, run Body) error {
	h := &handler{run: run}
	err := svc.Run(name, h)
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return runConsole(run)
	}
	if err != nil {
		return fmt.Errorf("connect to service manager: %w", err)
	}
	return h.err
}

// handler is the state machine between the service manager and the body.
type handler struct {
	run    Body
	err    error
	status svc.Status
	report chan<- svc.Status
}

// Execute implements svc.Handler.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, report chan<- svc.Status) (bool, uint32) {
	h.report = report
	h.enter(svc.Status{State: svc.StartPending, Accepts: accepted})
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- guarded(ctx, h.run, sync.OnceFunc(func() { close(ready) })) }()

	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-ready:
			ready = nil
			if h.status.State == svc.StartPending {
				h.enter(svc.Status{State: svc.Running, Accepts: accepted})
			}
		case r := <-requests:
			h.request(r, cancel)
		case <-tick.C:
			h.beat()
		case h.err = <-ended:
			return true, ExitCode(h.err)
		}
	}
}

func (h *handler) enter(s svc.Status) {
	if s.State != svc.Running {
		s.WaitHint = uint32(waitHint.Milliseconds())
	}
	h.status = s
	h.report <- s
}

// beat tells the service manager that a pending start or stop goes on.
func (h *handler) beat() {
	if h.status.State == svc.Running {
		return
	}
	h.status.CheckPoint++
	h.report <- h.status
}

func (h *handler) request(r svc.ChangeRequest, cancel context.CancelCauseFunc) {
	cause := ErrStop
	switch r.Cmd {
	case svc.Interrogate:
		h.report <- h.status
		return
	case svc.Shutdown, svc.PreShutdown:
		cause = ErrShutdown
	case svc.Stop:
	default:
		return
	}
	if h.status.State != svc.StopPending {
		h.enter(svc.Status{State: svc.StopPending})
		cancel(cause)
	}
}
