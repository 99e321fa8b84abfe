//go:build windows

package scm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc/mgr"
)

var startTypes = map[StartType]uint32{
	Auto:     windows.SERVICE_AUTO_START,
	Manual:   windows.SERVICE_DEMAND_START,
	Disabled: windows.SERVICE_DISABLED,
}

// Ensure implements Manager.
func (w *Windows) Ensure(ctx context.Context, s Spec) error {
	if err := s.check(); err != nil {
		return err
	}
	s, err := launched(s)
	if err != nil {
		return err
	}
	err = retry(ctx, func() error { return w.ensure(s) }, windows.ERROR_SERVICE_MARKED_FOR_DELETE,
		windows.ERROR_SERVICE_DATABASE_LOCKED, windows.ERROR_SERVICE_EXISTS)
	if err != nil {
		return fmt.Errorf("configure service %s: %w", s.Name, known(err))
	}
	return nil
}

func (w *Windows) ensure(s Spec) error {
	service, err := w.open(s.Name)
	if errors.Is(err, ErrNotFound) {
		return w.create(s)
	}
	if err != nil {
		return err
	}
	defer service.Close()
	if err := change(service, s); err != nil {
		return err
	}
	return configure(service, s)
}

// create makes the service with what is set once in its life: its own SID in
// its token, and recovery also after an end with an error code.
func (w *Windows) create(s Spec) error {
	h, err := windows.CreateService(w.m.Handle, wide(s.Name), wide(s.DisplayName), windows.SERVICE_ALL_ACCESS,
		windows.SERVICE_WIN32_OWN_PROCESS, startTypes[s.Start], windows.SERVICE_ERROR_NORMAL,
		wide(imagePath(s)), nil, nil, multi(s.DependsOn), wide(account(s.Account)), nil)
	if err != nil {
		return err
	}
	service := &mgr.Service{Name: s.Name, Handle: h}
	defer service.Close()
	sid := uint32(windows.SERVICE_SID_TYPE_UNRESTRICTED)
	if err := config2(service, windows.SERVICE_CONFIG_SERVICE_SID_INFO, unsafe.Pointer(&sid)); err != nil {
		return fmt.Errorf("set service SID: %w", err)
	}
	flag := windows.SERVICE_FAILURE_ACTIONS_FLAG{FailureActionsOnNonCrashFailures: 1}
	if err := config2(service, windows.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, unsafe.Pointer(&flag)); err != nil {
		return fmt.Errorf("set recovery after error codes: %w", err)
	}
	return configure(service, s)
}

// change reconfigures in place. The account is named only when it changes:
// naming it resets a password that an administrator may have entered.
func change(service *mgr.Service, s Spec) error {
	old, err := queryConfig(service)
	if err != nil {
		return err
	}
	var name, password *uint16
	if !strings.EqualFold(account(windows.UTF16PtrToString(old.ServiceStartName)), account(s.Account)) {
		name, password = wide(account(s.Account)), wide("")
	}
	display := s.DisplayName
	if display == "" {
		display = s.Name
	}
	return windows.ChangeServiceConfig(service.Handle, windows.SERVICE_NO_CHANGE, startTypes[s.Start],
		windows.SERVICE_NO_CHANGE, wide(imagePath(s)), nil, nil, multi(s.DependsOn), name, password, wide(display))
}

// configure sets what has calls of its own.
func configure(service *mgr.Service, s Spec) error {
	d := windows.SERVICE_DESCRIPTION{Description: wide(s.Description)}
	if err := config2(service, windows.SERVICE_CONFIG_DESCRIPTION, unsafe.Pointer(&d)); err != nil {
		return fmt.Errorf("set description: %w", err)
	}
	if err := setRecovery(service, s.Recovery, s.ResetPeriod); err != nil {
		return err
	}
	if s.PreshutdownTimeout > 0 {
		ms := uint32(s.PreshutdownTimeout.Milliseconds())
		if err := config2(service, windows.SERVICE_CONFIG_PRESHUTDOWN_INFO, unsafe.Pointer(&ms)); err != nil {
			return fmt.Errorf("set preshutdown timeout: %w", err)
		}
	}
	return writeKey(s)
}

func config2(service *mgr.Service, level uint32, info unsafe.Pointer) error {
	return optional(windows.ChangeServiceConfig2(service.Handle, level, (*byte)(info)))
}

// setRecovery sets the delays of the restarts; none clears the list, for
// which Windows wants a list without elements instead of no list.
func setRecovery(service *mgr.Service, delays []time.Duration, reset time.Duration) error {
	actions := make([]windows.SC_ACTION, len(delays), len(delays)+1)
	for i, d := range delays {
		actions[i] = windows.SC_ACTION{Type: windows.SC_ACTION_RESTART, Delay: uint32(d.Milliseconds())}
	}
	info := windows.SERVICE_FAILURE_ACTIONS{
		ResetPeriod:  uint32(reset.Seconds()),
		ActionsCount: uint32(len(actions)),
		Actions:      unsafe.SliceData(actions[:cap(actions)]),
	}
	if err := config2(service, windows.SERVICE_CONFIG_FAILURE_ACTIONS, unsafe.Pointer(&info)); err != nil {
		return fmt.Errorf("set recovery actions: %w", err)
	}
	return nil
}

// Spec implements Manager. Settings that Wine cannot tell stay zero there.
func (w *Windows) Spec(_ context.Context, name string) (Spec, error) {
	service, err := w.look(name)
	if err != nil {
		return Spec{}, err
	}
	defer service.Close()
	s, err := readSpec(service)
	if err != nil {
		return Spec{}, fmt.Errorf("read configuration of service %s: %w", name, known(err))
	}
	return s, nil
}

func readSpec(service *mgr.Service) (Spec, error) {
	c, err := queryConfig(service)
	if err != nil {
		return Spec{}, err
	}
	s := Spec{Name: service.Name, DisplayName: windows.UTF16PtrToString(c.DisplayName),
		Account: windows.UTF16PtrToString(c.ServiceStartName), DependsOn: unmulti(c.Dependencies)}
	for start, code := range startTypes {
		if code == c.StartType {
			s.Start = start
		}
	}
	image := windows.UTF16PtrToString(c.BinaryPathName)
	args, err := windows.DecomposeCommandLine(image)
	if err != nil {
		return Spec{}, fmt.Errorf("image path %q cannot be read: %w", image, err)
	}
	if len(args) > 0 { // some services of others have no image path at all
		s.Executable = args[0]
	}
	if len(args) > 1 {
		s.Args = args[1:]
	}
	unlaunched(&s)
	return s, readDetails(service, &s)
}

func readDetails(service *mgr.Service, s *Spec) error {
	b, err := query2(service, windows.SERVICE_CONFIG_DESCRIPTION)
	if err != nil {
		return err
	}
	if b != nil {
		s.Description = windows.UTF16PtrToString((*windows.SERVICE_DESCRIPTION)(unsafe.Pointer(&b[0])).Description)
	}
	if b, err = query2(service, windows.SERVICE_CONFIG_FAILURE_ACTIONS); err != nil {
		return err
	}
	s.KeepsNoRecovery = b == nil
	if b != nil {
		f := (*windows.SERVICE_FAILURE_ACTIONS)(unsafe.Pointer(&b[0]))
		s.ResetPeriod = time.Duration(f.ResetPeriod) * time.Second
		for _, a := range unsafe.Slice(f.Actions, f.ActionsCount) {
			if a.Type == windows.SC_ACTION_RESTART {
				s.Recovery = append(s.Recovery, time.Duration(a.Delay)*time.Millisecond)
			}
		}
	}
	if b, err = query2(service, windows.SERVICE_CONFIG_PRESHUTDOWN_INFO); err != nil {
		return err
	}
	if b != nil {
		s.PreshutdownTimeout = time.Duration(*(*uint32)(unsafe.Pointer(&b[0]))) * time.Millisecond
	}
	return readKey(s)
}

// configSize is the most that the two calls give.
const configSize = 8 << 10

func queryConfig(service *mgr.Service) (*windows.QUERY_SERVICE_CONFIG, error) {
	b := make([]byte, configSize)
	c := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&b[0]))
	var needed uint32
	if err := windows.QueryServiceConfig(service.Handle, c, configSize, &needed); err != nil {
		return nil, fmt.Errorf("query configuration: %w", err)
	}
	return c, nil
}

// query2 returns nil for a level that Wine does not know.
func query2(service *mgr.Service, level uint32) ([]byte, error) {
	b := make([]byte, configSize)
	var needed uint32
	if err := windows.QueryServiceConfig2(service.Handle, level, &b[0], configSize, &needed); err != nil {
		return nil, optional(fmt.Errorf("query configuration level %d: %w", level, err))
	}
	return b, nil
}

// imagePath quotes the executable always: unquoted, `C:\Program Files\x.exe`
// would first be looked for at `C:\Program.exe`.
func imagePath(s Spec) string {
	line := `"` + s.Executable + `"`
	for _, a := range s.Args {
		line += " " + windows.EscapeArg(a)
	}
	return line
}

// account spells the built-in ones as the service manager wants them.
func account(name string) string {
	switch strings.ToLower(name) {
	case "", "localsystem", `.\localsystem`:
		return "LocalSystem"
	case "localservice", `nt authority\localservice`:
		return `NT AUTHORITY\LocalService`
	case "networkservice", `nt authority\networkservice`:
		return `NT AUTHORITY\NetworkService`
	}
	return name
}

// wide is nil-terminated UTF-16; a NUL inside ends the string early.
func wide(s string) *uint16 {
	s, _, _ = strings.Cut(s, "\x00")
	return &utf16.Encode([]rune(s + "\x00"))[0]
}

// multi is a list of strings, each ended by NUL, the list by another.
func multi(list []string) *uint16 {
	return &utf16.Encode([]rune(strings.Join(append(list[:len(list):len(list)], "", ""), "\x00")))[0]
}

func unmulti(p *uint16) []string {
	var list []string
	for p != nil && *p != 0 {
		s := windows.UTF16PtrToString(p)
		list = append(list, s)
		p = (*uint16)(unsafe.Add(unsafe.Pointer(p), 2*(len(utf16.Encode([]rune(s)))+1)))
	}
	return list
}
