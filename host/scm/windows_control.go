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
	if st.CurrentState != windows.SERVICE_STOPPED && wine.Detected() && lost(st) {
		return windows.SERVICE_STATUS_PROCESS{CurrentState: windows.SERVICE_STOPPED, Win32ExitCode: CodeAborted}, nil
	}
	return st, nil
}

// lost: Wine's service manager does not notice the end of a process that did
// not say goodbye, and one that is stopped while it starts may leave it
// "running" without a process. It holds the process, so that the number stays
// taken.
func lost(st windows.SERVICE_STATUS_PROCESS) bool {
	if st.ProcessId == 0 {
		return st.CurrentState != windows.SERVICE_START_PENDING
	}
	p, err := hold(st.ProcessId)
	defer p.release()
	return err == nil && p.ended()
}

// Status implements Manager.
func (w *Windows) Status(_ context.Context, name string) (Status, error) {
	s, err := w.look(name)
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
		windows.ERROR_SHARING_VIOLATION, windows.ERROR_INTERNAL_ERROR) // the last: Wine lost the process before any of it ran
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
