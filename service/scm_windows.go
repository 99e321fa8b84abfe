package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

// While something is pending, progress is reported every beat, with a hint
// that leaves room for several missed ones. Nothing is pending without end:
// start and drain time bound it.
const (
	beat     = time.Second
	waitHint = 10 * beat
)

const (
	acceptedPending = svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown
	acceptedRunning = acceptedPending | svc.AcceptPauseAndContinue | svc.AcceptParamChange
)

func (s *Service) runWindowsService(ctx context.Context) error {
	h := &scmHandler{s: s, ctx: ctx, err: errors.New("the service manager did not start it")}
	err := svc.Run(s.o.name, h)
	if errors.Is(err, windows.ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
		return fmt.Errorf("run as a Windows service: %w (started by a person? RUNTIME_MODE=debug runs it here)", err)
	}
	if err != nil {
		return fmt.Errorf("connect to service manager: %w", err)
	}
	return h.err
}

// scmHandler stands between the service manager and the life of the service.
type scmHandler struct {
	s      *Service
	ctx    context.Context
	err    error
	status svc.Status
	report chan<- svc.Status
	done   chan svc.State // where a pause or continue ended up
}

// Execute implements svc.Handler. A failure becomes a service-specific exit
// code, so that recovery actions take it for one.
func (h *scmHandler) Execute(_ []string, requests <-chan svc.ChangeRequest, report chan<- svc.Status) (bool, uint32) {
	h.report, h.done = report, make(chan svc.State, 1)
	h.enter(svc.StartPending)
	stopping := make(chan struct{})
	h.s.OnState(func(t Transition) {
		if t.To == Stopping {
			close(stopping)
		}
	})
	ended := make(chan error, 1)
	go func() { ended <- h.s.live(h.ctx) }()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for ready := h.s.ready; ; {
		select {
		case <-ready:
			ready = nil
			if h.status.State == svc.StartPending {
				h.enter(svc.Running)
			}
		case <-stopping:
			stopping = nil
			h.enter(svc.StopPending)
		case state := <-h.done:
			h.rested(state)
		case r := <-requests:
			h.request(r)
		case <-tick.C:
			h.beat()
		case h.err = <-ended:
			if h.err != nil {
				h.s.log.Error("failed", "error", h.err)
				return true, 1
			}
			return false, 0
		}
	}
}

func (h *scmHandler) enter(state svc.State) {
	h.status = svc.Status{State: state, Accepts: acceptedPending}
	switch state {
	case svc.Running, svc.Paused:
		h.status.Accepts = acceptedRunning
	default:
		h.status.WaitHint = uint32(waitHint.Milliseconds())
	}
	h.report <- h.status
}

// beat tells that what is pending goes on.
func (h *scmHandler) beat() {
	if h.status.State == svc.Running || h.status.State == svc.Paused {
		return
	}
	h.status.CheckPoint++
	h.report <- h.status
}

func (h *scmHandler) request(r svc.ChangeRequest) {
	switch r.Cmd {
	case svc.Interrogate:
		h.report <- h.status
	case svc.Stop:
		h.stop(ErrStop)
	case svc.Shutdown, svc.PreShutdown:
		h.stop(ErrShutdown)
	case svc.Pause:
		h.rest(svc.Running, svc.PausePending, svc.Paused, h.s.Pause)
	case svc.Continue:
		h.rest(svc.Paused, svc.ContinuePending, svc.Running, h.s.Continue)
	case svc.ParamChange:
		go func() { _ = h.s.Reload(h.ctx) }() // it is logged
	}
}

func (h *scmHandler) stop(cause error) {
	if h.status.State != svc.StopPending {
		h.enter(svc.StopPending)
		h.s.Stop(cause)
	}
}

// rest goes from one resting state to the other, or stays if the app refuses.
func (h *scmHandler) rest(from, pending, to svc.State, do func(context.Context) error) {
	if h.status.State != from {
		return
	}
	h.enter(pending)
	go func() {
		if err := do(h.ctx); err != nil {
			h.s.log.Error("service manager", "error", err)
			to = from
		}
		h.done <- to
	}()
}

// rested ends a pause or continue, unless a stop came in between.
func (h *scmHandler) rested(state svc.State) {
	if h.status.State != svc.StopPending {
		h.enter(state)
	}
}
