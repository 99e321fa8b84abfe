package tree

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// held is the job object; closing it, also by our own death, kills the tree.
type held struct{ job windows.Handle }

func (t *Tree) start() error {
	job, err := newJob()
	if err != nil {
		return err
	}
	if err := startIn(t.cmd, job); err != nil {
		windows.CloseHandle(job)
		return err
	}
	t.held.job = job
	return nil
}

func newJob() (windows.Handle, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return 0, fmt.Errorf("create job object: %w", err)
	}
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	info.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
	if err != nil {
		windows.CloseHandle(job)
		return 0, fmt.Errorf("limit job object: %w", err)
	}
	return job, nil
}

// startIn starts cmd suspended, so that nothing it does happens outside the
// job. CREATE_NO_WINDOW gives it a console of its own that nobody sees.
func startIn(cmd *exec.Cmd, job windows.Handle) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.CreationFlags |= windows.CREATE_SUSPENDED | windows.CREATE_NO_WINDOW
	if err := cmd.Start(); err != nil {
		return err
	}
	var assigned error
	err := cmd.Process.WithHandle(func(h uintptr) {
		assigned = windows.AssignProcessToJobObject(job, windows.Handle(h))
	})
	if err = errors.Join(err, assigned); err == nil {
		err = resume(uint32(cmd.Process.Pid))
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return fmt.Errorf("put process into job object: %w", err)
	}
	return nil
}

// resume wakes a process that was started suspended; the handle that
// CreateProcess gave for its thread does not get through os/exec. Security
// software may have put a thread of its own there already: all are woken, and
// one of them must have slept.
func resume(pid uint32) error {
	snap, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	defer windows.CloseHandle(snap)
	e := windows.ThreadEntry32{Size: uint32(unsafe.Sizeof(windows.ThreadEntry32{}))}
	var woken bool
	var failed error
	for err = windows.Thread32First(snap, &e); err == nil; err = windows.Thread32Next(snap, &e) {
		if e.OwnerProcessID == pid {
			slept, err := resumeThread(e.ThreadID)
			woken, failed = woken || slept, errors.Join(failed, err)
		}
	}
	if !woken {
		return fmt.Errorf("find suspended thread of process %d: %w", pid, errors.Join(failed, err))
	}
	return nil
}

func resumeThread(id uint32) (slept bool, err error) {
	h, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, id)
	if err != nil {
		return false, fmt.Errorf("open thread: %w", err)
	}
	defer windows.CloseHandle(h)
	before, err := windows.ResumeThread(h)
	if err != nil {
		return false, fmt.Errorf("resume thread: %w", err)
	}
	return before > 0, nil
}

func (h *held) kill(int) { _ = windows.TerminateJobObject(h.job, killedExit) }

// killedExit is what a killed program ends with.
const killedExit = 137

func (h *held) end(int) {
	_ = windows.TerminateJobObject(h.job, killedExit)
	windows.CloseHandle(h.job)
	h.job = 0
}

// console serialises visits to other consoles: a process has one at a time.
var console sync.Mutex

// signal visits the program's console and raises the event there for all
// that share it. Our own handler must not die of it.
func (h *held) signal(pid int, s Signal) error {
	console.Lock()
	defer console.Unlock()
	_ = call("FreeConsole")
	if err := call("AttachConsole", uintptr(pid)); err != nil {
		return fmt.Errorf("attach console of process %d: %w", pid, err)
	}
	defer call("FreeConsole")
	if err := surviveCtrlEvents(); err != nil {
		return fmt.Errorf("shield ourselves from the console event: %w", err)
	}
	event := uint32(windows.CTRL_BREAK_EVENT)
	if s == CtrlC {
		event = windows.CTRL_C_EVENT
	}
	if err := windows.GenerateConsoleCtrlEvent(event, 0); err != nil {
		return fmt.Errorf("raise console event: %w", err)
	}
	return nil
}

// surviveCtrlEvents: the event reaches us too while we are attached, and a
// little later, so that the handler stays. It is added after attaching, on top
// of Go's own, because the system may forget handlers of the console before.
func surviveCtrlEvents() error { return call("SetConsoleCtrlHandler", claim(), 1) }

// claim is a handler that says: done. Callbacks are never freed, so there is one.
var claim = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(uintptr) uintptr { return 1 })
})

func call(name string, args ...uintptr) error {
	r, _, err := windows.NewLazySystemDLL("kernel32.dll").NewProc(name).Call(args...)
	if r == 0 {
		return err
	}
	return nil
}

func exitCode(s *os.ProcessState) uint32 { return uint32(s.ExitCode()) }
