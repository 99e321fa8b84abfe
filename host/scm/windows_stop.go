//go:build windows

package scm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/go-shipper/shipper/host/scm/tree"
)

// errDeaf: the service runs and does not take the stop control.
var errDeaf = errors.New("it does not accept to be stopped")

// Stop implements Manager. A service that is just starting is asked again
// until it can be told; one that somebody starts again at once is not ours.
func (w *Windows) Stop(ctx context.Context, name string, timeout time.Duration) error {
	s, err := w.open(name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	if timeout <= 0 {
		timeout = defaultStopTimeout
	}
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	x := &stop{s: s}
	defer func() { x.process.release() }()
	err = x.await(limit)
	late := errors.Is(err, errDeaf) || limit.Err() != nil
	if err == nil || ctx.Err() != nil || !late {
		return err
	}
	return x.kill(ctx)
}

// stop is one service on its way to the end.
type stop struct {
	s       *mgr.Service
	process held // from before the stop: its number may be given away as soon as it is gone
	asked   bool
}

// await asks, and waits for the state and for the end of the process.
func (x *stop) await(ctx context.Context) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		st, err := query(x.s)
		if err != nil {
			return err
		}
		if done, err := x.step(st); done || err != nil {
			return err
		}
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("stop service %s: it is still %s: %w", x.s.Name, states[st.CurrentState], err)
		}
	}
}

func (x *stop) step(st windows.SERVICE_STATUS_PROCESS) (done bool, err error) {
	if x.process.pid == 0 {
		if x.process, err = hold(st.ProcessId); err != nil {
			return false, fmt.Errorf("stop service %s: open process: %w", x.s.Name, known(err))
		}
	}
	if st.CurrentState == windows.SERVICE_STOPPED || x.process.pid != 0 && st.ProcessId != x.process.pid {
		return x.process.ended(), nil
	}
	if !x.asked {
		return false, x.ask(st)
	}
	return false, nil
}

func (x *stop) ask(st windows.SERVICE_STATUS_PROCESS) error {
	var now windows.SERVICE_STATUS
	err := windows.ControlService(x.s.Handle, windows.SERVICE_CONTROL_STOP, &now)
	starting := st.CurrentState == windows.SERVICE_START_PENDING
	switch {
	case err == nil, errors.Is(err, windows.ERROR_SERVICE_REQUEST_TIMEOUT): // told, though it did not answer
		x.asked = true
	case errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE), errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL):
	case errors.Is(err, windows.ERROR_INVALID_SERVICE_CONTROL) && starting:
	case errors.Is(err, windows.ERROR_INVALID_SERVICE_CONTROL):
		return errDeaf
	default:
		return fmt.Errorf("stop service %s: %w", x.s.Name, known(err))
	}
	return nil
}

// killBound is the time that a killed process may take to disappear.
const killBound = 15 * time.Second

// kill ends the process and its descendants. To the service manager that is
// a crash: recovery is switched off meanwhile, or it would start it again.
func (x *stop) kill(ctx context.Context) error {
	s := x.s
	before, err := readSpec(s)
	if err != nil {
		return fmt.Errorf("stop service %s: %w", s.Name, err)
	}
	if len(before.Recovery) > 0 {
		if err := setRecovery(s, nil, 0); err != nil {
			return fmt.Errorf("stop service %s: %w", s.Name, err)
		}
		defer func() { _ = setRecovery(s, before.Recovery, before.ResetPeriod) }()
	}
	if err := x.process.kill(); err != nil {
		return fmt.Errorf("stop service %s: kill process: %w", s.Name, known(err))
	}
	ctx, cancel := context.WithTimeout(ctx, killBound)
	defer cancel()
	return x.await(ctx)
}

// held is a process that cannot be mistaken for another.
type held struct {
	pid    uint32
	handle windows.Handle
}

// hold asks for no more than waiting if it gets no more: an administrator at
// the console may wait for a process of SYSTEM, and not kill it.
func hold(pid uint32) (held, error) {
	const wait = windows.SYNCHRONIZE | windows.PROCESS_QUERY_LIMITED_INFORMATION
	if pid == 0 {
		return held{}, nil
	}
	h, err := windows.OpenProcess(wait|windows.PROCESS_TERMINATE, false, pid)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		h, err = windows.OpenProcess(wait, false, pid)
	}
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return held{}, nil // gone already
	}
	return held{pid, h}, err
}

func (p held) release() {
	if p.handle != 0 {
		windows.CloseHandle(p.handle)
	}
}

func (p held) ended() bool {
	if p.handle == 0 {
		return true
	}
	event, err := windows.WaitForSingleObject(p.handle, 0)
	return err == nil && event == windows.WAIT_OBJECT_0
}

// kill takes the descendants too, which it looks for while their parent is
// still there to know them by.
func (p held) kill() error {
	if p.ended() {
		return nil
	}
	var below []held
	if table, err := tree.Snapshot(); err == nil {
		for _, pid := range table.Descendants(int(p.pid)) {
			if d, err := hold(uint32(pid)); err == nil {
				below = append(below, d)
			}
		}
	}
	err := windows.TerminateProcess(p.handle, killedExit)
	for _, d := range below {
		if d.handle != 0 {
			_ = windows.TerminateProcess(d.handle, killedExit)
		}
		d.release()
	}
	if err != nil && !p.ended() {
		return err
	}
	return nil
}

// killedExit is what a killed process ends with.
const killedExit = 137
