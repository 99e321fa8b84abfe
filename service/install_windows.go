package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// manager is the service manager of Windows.
type manager struct {
	o options
	m *mgr.Mgr
}

func newManager(o options) (*manager, error) {
	m, err := mgr.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect to service manager: %w", err)
	}
	return &manager{o, m}, nil
}

func (m *manager) close() { m.m.Disconnect() }

func (m *manager) open() (*mgr.Service, error) {
	s, err := m.m.OpenService(m.o.name)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return nil, ErrNotInstalled
	}
	return s, err
}

// install creates the service, or changes it in place: it may run meanwhile.
func (m *manager) install(_ context.Context, exe string, r Registration) error {
	s, err := m.open()
	if errors.Is(err, ErrNotInstalled) {
		s, err = m.create(exe, r)
	} else if err == nil {
		err = m.change(s, exe, r)
	}
	if err != nil {
		return err
	}
	defer s.Close()
	if err := m.configure(s, r); err != nil {
		return err
	}
	if err := setEnvironment(m.o.name, r.Env); err != nil {
		return err
	}
	return registerSource(m.o.name)
}

func startType(r Registration) uint32 {
	if r.Manual {
		return mgr.StartManual
	}
	return mgr.StartAutomatic
}

func accountOf(name string, r Registration) string {
	if r.Account == "" {
		return `NT SERVICE\` + name
	}
	return r.Account
}

func (m *manager) create(exe string, r Registration) (*mgr.Service, error) {
	return m.m.CreateService(m.o.name, exe, mgr.Config{
		DisplayName: r.DisplayName, StartType: startType(r), ErrorControl: mgr.ErrorNormal,
		ServiceStartName: accountOf(m.o.name, r), Password: r.Password, Dependencies: r.DependsOn,
	}, r.Args...)
}

// change names account and password only where they change: naming them would
// reset what an administrator entered.
func (m *manager) change(s *mgr.Service, exe string, r Registration) error {
	old, err := s.Config()
	if err != nil && !missingOnWine(err) {
		return err
	}
	path := windows.EscapeArg(exe)
	for _, a := range r.Args {
		path += " " + windows.EscapeArg(a)
	}
	var account, password *uint16
	if !strings.EqualFold(old.ServiceStartName, accountOf(m.o.name, r)) || r.Password != "" {
		account, password = wide(accountOf(m.o.name, r)), wide(r.Password)
	}
	return windows.ChangeServiceConfig(s.Handle, windows.SERVICE_NO_CHANGE, startType(r), mgr.ErrorNormal,
		wide(path), nil, nil, wideList(r.DependsOn), account, password, wide(r.DisplayName))
}

// configure sets what has a call of its own.
func (m *manager) configure(s *mgr.Service, r Registration) error {
	description := windows.SERVICE_DESCRIPTION{Description: wide(r.Description)}
	delayed := windows.SERVICE_DELAYED_AUTO_START_INFO{IsDelayedAutoStartUp: flag32(r.Delayed && !r.Manual)}
	sid := uint32(windows.SERVICE_SID_TYPE_UNRESTRICTED)
	if r.RestrictedSID {
		sid = windows.SERVICE_SID_TYPE_RESTRICTED
	}
	privileges := requiredPrivileges{wideList(r.Privileges)}
	preshutdown := uint32((m.o.drain + stopMargin).Milliseconds())
	nonCrash := windows.SERVICE_FAILURE_ACTIONS_FLAG{FailureActionsOnNonCrashFailures: 1}
	for _, set := range []struct {
		what  string
		level uint32
		info  unsafe.Pointer
	}{
		{"description", windows.SERVICE_CONFIG_DESCRIPTION, unsafe.Pointer(&description)},
		{"delayed start", windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, unsafe.Pointer(&delayed)},
		{"service SID", windows.SERVICE_CONFIG_SERVICE_SID_INFO, unsafe.Pointer(&sid)},
		{"privileges", windows.SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, unsafe.Pointer(&privileges)},
		{"preshutdown timeout", windows.SERVICE_CONFIG_PRESHUTDOWN_INFO, unsafe.Pointer(&preshutdown)},
		{"recovery after error codes", windows.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, unsafe.Pointer(&nonCrash)},
	} {
		err := windows.ChangeServiceConfig2(s.Handle, set.level, (*byte)(set.info))
		if err != nil && !missingOnWine(err) {
			return fmt.Errorf("set %s: %w", set.what, err)
		}
	}
	return setRecovery(s, r)
}

// setRecovery sets restarts; to clear the list Windows wants one without
// elements instead of none.
func setRecovery(s *mgr.Service, r Registration) error {
	actions := make([]windows.SC_ACTION, len(r.Recovery), len(r.Recovery)+1)
	for i, d := range r.Recovery {
		actions[i] = windows.SC_ACTION{Type: windows.SC_ACTION_RESTART, Delay: uint32(d.Milliseconds())}
	}
	info := windows.SERVICE_FAILURE_ACTIONS{ResetPeriod: uint32(r.RecoveryReset.Seconds()),
		ActionsCount: uint32(len(actions)), Actions: unsafe.SliceData(actions[:cap(actions)])}
	err := windows.ChangeServiceConfig2(s.Handle, windows.SERVICE_CONFIG_FAILURE_ACTIONS, (*byte)(unsafe.Pointer(&info)))
	if err != nil && !missingOnWine(err) {
		return fmt.Errorf("set recovery actions: %w", err)
	}
	return nil
}

func setEnvironment(name string, env []string) error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\`+name, registry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("set environment: %w", err)
	}
	defer key.Close()
	if len(env) == 0 {
		if err := key.DeleteValue("Environment"); err != nil && !errors.Is(err, registry.ErrNotExist) {
			return fmt.Errorf("set environment: %w", err)
		}
		return nil
	}
	if err := key.SetStringsValue("Environment", env); err != nil {
		return fmt.Errorf("set environment: %w", err)
	}
	return nil
}

// registerSource lets the Event Log show the service's events with the
// system's own message file, which outlives every release.
func registerSource(name string) error {
	if known, err := sourceKnown(name); known || err != nil {
		return err
	}
	if err := eventlog.InstallAsEventCreate(name, eventlog.Error|eventlog.Warning|eventlog.Info); err != nil {
		return fmt.Errorf("register event source: %w", err)
	}
	return nil
}

func sourceKnown(name string) (bool, error) {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\EventLog\Application\`+name, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find event source: %w", err)
	}
	return true, key.Close()
}

func (m *manager) uninstall(ctx context.Context) error {
	if err := m.stop(ctx); err != nil {
		return err
	}
	s, err := m.open()
	if err != nil {
		return err
	}
	err = s.Delete()
	s.Close()
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE) {
		return err
	}
	if known, err := sourceKnown(m.o.name); err != nil || !known {
		return err
	}
	return eventlog.Remove(m.o.name)
}

func (m *manager) start(ctx context.Context) error {
	s, err := m.open()
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Start(); err != nil && !errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
		return err
	}
	return await(ctx, s, func(st svc.Status) (bool, error) {
		if st.State == svc.Stopped {
			return true, fmt.Errorf("it ended at once: error %d, exit code %d", st.Win32ExitCode, st.ServiceSpecificExitCode)
		}
		return st.State == svc.Running, nil
	})
}

// stop returns when the service is stopped and its process is gone.
func (m *manager) stop(ctx context.Context) error {
	s, err := m.open()
	if err != nil {
		return err
	}
	defer s.Close()
	before, err := s.Query()
	if err != nil {
		return err
	}
	process, err := windows.OpenProcess(windows.SYNCHRONIZE, false, before.ProcessId)
	if err == nil {
		defer windows.CloseHandle(process)
	}
	_, err = s.Control(svc.Stop)
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) && !errors.Is(err, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL) {
		return err
	}
	return await(ctx, s, func(st svc.Status) (bool, error) {
		if st.State != svc.Stopped {
			return false, nil
		}
		event, err := windows.WaitForSingleObject(process, 0)
		return process == 0 || err == nil && event == windows.WAIT_OBJECT_0, nil
	})
}

// await looks at the service until it is as wanted.
func await(ctx context.Context, s *mgr.Service, reached func(svc.Status) (bool, error)) error {
	for wait := 5 * time.Millisecond; ; wait = min(2*wait, 200*time.Millisecond) {
		st, err := s.Query()
		if err != nil {
			return err
		}
		if done, err := reached(st); done || err != nil {
			return err
		}
		if !sleep(ctx, wait) {
			return fmt.Errorf("it is still %s: %w", stateName(st.State), context.Cause(ctx))
		}
	}
}

func (m *manager) status(context.Context) (string, error) {
	s, err := m.open()
	if err != nil {
		return "", err
	}
	defer s.Close()
	st, err := s.Query()
	if err != nil {
		return "", err
	}
	text := stateName(st.State)
	if st.ProcessId != 0 {
		text += fmt.Sprintf(", process %d", st.ProcessId)
	}
	return text, nil
}

func stateName(s svc.State) string {
	names := []string{"", "stopped", "start pending", "stop pending", "running", "continue pending", "pause pending", "paused"}
	if int(s) < len(names) && s > 0 {
		return names[s]
	}
	return fmt.Sprintf("state %d", s)
}
