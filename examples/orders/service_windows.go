package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
)

// host runs serve until the program is told to stop: by the service manager
// if that started it, else as a console program.
func host(serve func(ctx context.Context, ready func()) error) error {
	if !managed() {
		return console(serve)
	}
	s := &service{serve: serve}
	return errors.Join(svc.Run("", s), s.err)
}

// managed reports whether the service manager started this program: shipper
// says so, else the parent tells. Asking by connecting to the service manager
// takes Wine many seconds, and svc.IsWindowsService also wants a session
// number that Wine does not give.
func managed() bool {
	if mode := os.Getenv("SHIPPER_MODE"); mode != "" {
		return mode == "native"
	}
	all := map[uint32]windows.ProcessEntry32{}
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return false
	}
	defer windows.CloseHandle(snapshot)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		all[entry.ProcessID] = entry
	}
	parent := all[all[windows.GetCurrentProcessId()].ParentProcessID]
	return strings.EqualFold(windows.UTF16ToString(parent.ExeFile[:]), "services.exe")
}

type service struct {
	serve func(ctx context.Context, ready func()) error
	err   error
}

// Execute is called by the service manager's thread. A service that ends by
// itself reports exit code 1 of its own, so that recovery actions take it for
// a failure.
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	status <- svc.Status{State: svc.StartPending}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { done <- s.serve(ctx, func() { close(ready) }) }()
	for {
		select {
		case <-ready:
			ready = nil
			status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
		case s.err = <-done:
			if s.err != nil && ctx.Err() == nil {
				slog.Error("ended", "error", s.err)
				return true, 1
			}
			return false, 0
		case r := <-requests:
			s.answer(r, status, cancel)
		}
	}
}

func (s *service) answer(r svc.ChangeRequest, status chan<- svc.Status, cancel context.CancelFunc) {
	switch r.Cmd {
	case svc.Interrogate:
		status <- r.CurrentStatus
	case svc.Stop, svc.Shutdown:
		status <- svc.Status{State: svc.StopPending, WaitHint: uint32(shutdownTime.Milliseconds())}
		cancel()
	}
}
