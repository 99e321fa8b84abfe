//go:build windows

package scm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/go-shipper/shipper/host/scm/wine"
)

// Windows is the Manager of this Windows host.
type Windows struct{ m *mgr.Mgr }

// NewWindows connects to the service manager. The connection is held: Wine's
// service manager mixes up calls of several threads whenever the last handle
// of a process is closed.
func NewWindows() (*Windows, error) {
	m, err := mgr.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect to service manager: %w", known(err))
	}
	return &Windows{m: m}, nil
}

// Close ends the connection.
func (w *Windows) Close() error { return w.m.Disconnect() }

// raceBound limits how long a call waits for a state that passes by itself: a
// locked database, a name marked for deletion.
const raceBound = 30 * time.Second

func (w *Windows) open(name string) (*mgr.Service, error) {
	return w.openFor(name, windows.SERVICE_ALL_ACCESS)
}

// look opens a service to read it only: many of Windows' own give not even
// SYSTEM more than that.
func (w *Windows) look(name string) (*mgr.Service, error) {
	return w.openFor(name, windows.SERVICE_QUERY_CONFIG|windows.SERVICE_QUERY_STATUS)
}

func (w *Windows) openFor(name string, access uint32) (*mgr.Service, error) {
	h, err := windows.OpenService(w.m.Handle, wide(name), access)
	if err != nil {
		return nil, fmt.Errorf("open service %s: %w", name, known(err))
	}
	return &mgr.Service{Name: name, Handle: h}, nil
}

// known adds the errors that callers decide on.
func known(err error) error {
	switch {
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		return fmt.Errorf("%w (%w)", ErrNotFound, err)
	case errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return fmt.Errorf("%w (%w)", ErrDenied, err)
	}
	return err
}

// retry repeats f while it fails for one of the passing reasons, within
// raceBound and ctx.
func retry(ctx context.Context, f func() error, passing ...windows.Errno) error {
	deadline := time.Now().Add(raceBound)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := f()
		passes := slices.ContainsFunc(passing, func(e windows.Errno) bool { return errors.Is(err, e) })
		if !passes || time.Now().After(deadline) {
			return err
		}
		if ctxErr := sleep(ctx, wait); ctxErr != nil {
			return errors.Join(err, ctxErr)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// optional forgives, on Wine only, a setting that the system does not know.
func optional(err error) error {
	missing := errors.Is(err, windows.ERROR_INVALID_LEVEL) || errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED) ||
		errors.Is(err, windows.ERROR_INVALID_PARAMETER)
	if missing && wine.Detected() {
		return nil
	}
	return err
}

// Delete implements Manager.
func (w *Windows) Delete(ctx context.Context, name string) error {
	err := w.remove(name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE) {
		return err
	}
	err = retry(ctx, func() error { return w.remains(name) }, windows.ERROR_SERVICE_MARKED_FOR_DELETE, windows.ERROR_SERVICE_EXISTS)
	if err != nil {
		return fmt.Errorf("delete service %s: its name is not free yet, another program holds it open: %w", name, err)
	}
	return nil
}

// remove asks for the deletion of a stopped service.
func (w *Windows) remove(name string) error {
	s, err := w.open(name)
	if err != nil {
		return err
	}
	defer s.Close()
	st, err := query(s)
	if err != nil {
		return err
	}
	if st.CurrentState != windows.SERVICE_STOPPED {
		return fmt.Errorf("delete service %s: it is %s", name, states[st.CurrentState])
	}
	if err := s.Delete(); err != nil {
		return fmt.Errorf("delete service %s: %w", name, known(err))
	}
	return nil
}

// remains reports a name that is not free.
func (w *Windows) remains(name string) error {
	s, err := w.open(name)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	s.Close()
	return windows.ERROR_SERVICE_EXISTS
}

// List implements Manager. Names compare without case, as Windows' own.
func (w *Windows) List(_ context.Context, prefix string) ([]string, error) {
	all, err := w.m.ListServices()
	if err != nil {
		return nil, fmt.Errorf("list services: %w", known(err))
	}
	var names []string
	for _, name := range all {
		if len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Owns implements Manager.
func (w *Windows) Owns(ctx context.Context, name string, port int) (bool, error) {
	s, err := w.Status(ctx, name)
	if err != nil || s.PID == 0 {
		return false, err
	}
	return ownsPort(int(s.PID), port)
}
