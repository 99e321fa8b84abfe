//go:build windows

package scm

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/go-shipper/shipper/host/scm/tree"
	"github.com/go-shipper/shipper/host/scm/wine"
)

var states = map[uint32]State{
	windows.SERVICE_STOPPED:          Stopped,
	windows.SERVICE_START_PENDING:    StartPending,
	windows.SERVICE_STOP_PENDING:     StopPending,
	windows.SERVICE_RUNNING:          Running,
	windows.SERVICE_CONTINUE_PENDING: StartPending,
	windows.SERVICE_PAUSE_PENDING:    Paused,
	windows.SERVICE_PAUSED:           Paused,
}

// patience is the least time without progress after which a pending start
// counts as hanging, whatever wait hint the service gave.
const patience = time.Minute

func query(s *mgr.Service) (windows.SERVICE_STATUS_PROCESS, error) {
	var st windows.SERVICE_STATUS_PROCESS
	var needed uint32
	err := windows.QueryServiceStatusEx(s.Handle, windows.SC_STATUS_PROCESS_INFO, (*byte)(unsafe.Pointer(&st)),
		uint32(unsafe.Sizeof(st)), &needed)
	if err != nil {
		return st, fmt.Errorf("query service %s: %w", s.Name, known(err))
	}
	if st.ProcessId != 0 && wine.Detected() && dead(st.ProcessId) {
		return windows.SERVICE_STATUS_PROCESS{CurrentState: windows.SERVICE_STOPPED, Win32ExitCode: CodeAborted}, nil
	}
	return st, nil
}

// dead: Wine's service manager does not notice the end of a process that did
// not say goodbye. It holds the process, so that its number stays taken.
func dead(pid uint32) bool {
	p, err := hold(pid)
	defer p.release()
	return err == nil && p.ended()
}

// Status implements Manager.
func (w *Windows) Status(_ context.Context, name string) (Status, error) {
	s, err := w.open(name)
	if errors.Is(err, ErrNotFound) {
		return Status{State: Absent}, nil
	}
	if err != nil {
		return Status{}, err
	}
	defer s.Close()
	st, err := query(s)
	if err != nil {
		return Status{}, err
	}
	return Status{State: states[st.CurrentState], PID: st.ProcessId, Started: started(st.ProcessId), Exit: exit(st)}, nil
}

func exit(st windows.SERVICE_STATUS_PROCESS) uint32 {
	switch windows.Errno(st.Win32ExitCode) {
	case windows.ERROR_SERVICE_SPECIFIC_ERROR:
		return st.ServiceSpecificExitCode
	case windows.ERROR_SERVICE_NEVER_STARTED:
		return 0
	}
	return st.Win32ExitCode
}

// started is when the process was created; zero if there is none (any more).
func started(pid uint32) time.Time {
	if pid == 0 {
		return time.Time{}
	}
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return time.Time{}
	}
	defer windows.CloseHandle(h)
	return created(h)
}

func created(h windows.Handle) time.Time {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return time.Time{}
	}
	return time.Unix(0, created.Nanoseconds())
}

// Start implements Manager.
func (w *Windows) Start(ctx context.Context, name string) error {
	s, err := w.open(name)
	if err != nil {
		return err
	}
	defer s.Close()
	err = retry(ctx, func() error { return s.Start() }, windows.ERROR_SERVICE_DATABASE_LOCKED,
		windows.ERROR_SHARING_VIOLATION)
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
		return startError(name, err)
	}
	return awaitRunning(ctx, s)
}

func startError(name string, err error) error {
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) || errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE) {
		return fmt.Errorf("start service %s: %w", name, known(err))
	}
	e := &StartError{Service: name, Err: err}
	var code windows.Errno
	if errors.As(err, &code) {
		e.Code = uint32(code)
	}
	return e.problem()
}

// awaitRunning follows a pending start by its checkpoints.
func awaitRunning(ctx context.Context, s *mgr.Service) error {
	var seen windows.SERVICE_STATUS_PROCESS
	progress := time.Now()
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		st, err := query(s)
		if err != nil {
			return err
		}
		if st.CurrentState != seen.CurrentState || st.CheckPoint != seen.CheckPoint {
			seen, progress = st, time.Now()
		}
		hint := max(patience, time.Duration(st.WaitHint)*time.Millisecond)
		switch {
		case st.CurrentState == windows.SERVICE_RUNNING, st.CurrentState == windows.SERVICE_PAUSED:
			return nil
		case st.CurrentState == windows.SERVICE_STOPPED:
			return ended(s.Name, st)
		case time.Since(progress) > hint:
			err := fmt.Errorf("no progress for %v", hint)
			return (&StartError{Service: s.Name, Code: CodeRequestTimeout, Err: err}).problem()
		}
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("start service %s: it is still %s: %w", s.Name, states[st.CurrentState], err)
		}
	}
}

// ended tells a service that stopped while it was starting.
func ended(name string, st windows.SERVICE_STATUS_PROCESS) error {
	e := &StartError{Service: name, Exit: exit(st)}
	if windows.Errno(st.Win32ExitCode) != windows.ERROR_SERVICE_SPECIFIC_ERROR && st.Win32ExitCode != 0 {
		e.Code, e.Err = st.Win32ExitCode, windows.Errno(st.Win32ExitCode)
	}
	return e.problem()
}

// Stop implements Manager. The process is held by a handle from before the
// stop: its number may be given away as soon as it is gone.
func (w *Windows) Stop(ctx context.Context, name string, timeout time.Duration) error {
	s, err := w.open(name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.Close()
	st, err := query(s)
	if err != nil {
		return err
	}
	if timeout <= 0 {
		timeout = defaultStopTimeout
	}
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	process, err := hold(st.ProcessId)
	if err != nil {
		return fmt.Errorf("stop service %s: open process: %w", name, known(err))
	}
	defer process.release()
	if err = ask(limit, s); err == nil {
		err = awaitStopped(limit, s, process)
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	if errors.Is(err, windows.ERROR_DEPENDENT_SERVICES_RUNNING) {
		return fmt.Errorf("stop service %s: %w", name, err)
	}
	return kill(ctx, s, process)
}

// ask sends the stop control; a service that is already stopped is fine, one
// that is starting cannot take it yet.
func ask(ctx context.Context, s *mgr.Service) error {
	err := retry(ctx, func() error {
		var st windows.SERVICE_STATUS
		err := windows.ControlService(s.Handle, windows.SERVICE_CONTROL_STOP, &st)
		if errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL) && st.CurrentState == windows.SERVICE_STOP_PENDING {
			return nil
		}
		return err
	}, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL)
	if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return nil
	}
	return err
}

// awaitStopped waits for the state and for the end of the process.
func awaitStopped(ctx context.Context, s *mgr.Service, process held) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		st, err := query(s)
		if err != nil {
			return err
		}
		gone := st.CurrentState == windows.SERVICE_STOPPED || process.pid != 0 && st.ProcessId != process.pid
		if gone && process.ended() {
			return nil // or started again by somebody at once
		}
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("stop service %s: it is still %s: %w", s.Name, states[st.CurrentState], err)
		}
	}
}

// killBound is the time that a killed process may take to disappear.
const killBound = 15 * time.Second

// kill ends the process and its descendants. To the service manager that is
// a crash: recovery is switched off meanwhile, or it would start it again.
func kill(ctx context.Context, s *mgr.Service, process held) error {
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
	if err := process.kill(); err != nil {
		return fmt.Errorf("stop service %s: kill process: %w", s.Name, known(err))
	}
	ctx, cancel := context.WithTimeout(ctx, killBound)
	defer cancel()
	return awaitStopped(ctx, s, process)
}

// held is a process that cannot be mistaken for another.
type held struct {
	pid    uint32
	handle windows.Handle
}

func hold(pid uint32) (held, error) {
	const access = windows.SYNCHRONIZE | windows.PROCESS_TERMINATE | windows.PROCESS_QUERY_LIMITED_INFORMATION
	if pid == 0 {
		return held{}, nil
	}
	h, err := windows.OpenProcess(access, false, pid)
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
