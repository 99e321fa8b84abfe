package service

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Registration says how a service is registered with the service manager of
// Windows, or with systemd. The zero value starts it at boot, as an account of
// its own that has no rights beyond its own, and restarts it when it fails.
type Registration struct {
	// DisplayName is what Windows lists. Default: the name.
	DisplayName string
	// Description is one sentence for people. Default: the name.
	Description string
	// Args are given to the program before those that follow install. Default:
	// none.
	Args []string
	// Env is set for the service, NAME=value. No secrets: users of the machine
	// can read it. Default: none.
	Env []string
	// Account runs it. Default: `NT SERVICE\NAME` on Windows, a dynamic user of
	// that name under systemd. "LocalSystem" and "root" are the powerful ones.
	Account string
	// Password of the account, on Windows, where it has one. It goes to the
	// service manager only. Default: none.
	Password string
	// DependsOn names what must run before: services on Windows, units under
	// systemd. Default: nothing.
	DependsOn []string
	// Manual services do not start at boot. Default: they do.
	Manual bool
	// Delayed services start some minutes after the boot. Windows only.
	// Default: at once.
	Delayed bool
	// Recovery are the delays of the restarts after the first, second … failure
	// within RecoveryReset; the last one repeats. Default: 1 s, 10 s, 1 min.
	// systemd knows one delay, the first. Empty but not nil: no restarts.
	Recovery []time.Duration
	// RecoveryReset forgets failures after so long without one. Default: 24 h.
	RecoveryReset time.Duration
	// Privileges that the process keeps, as `SeChangeNotifyPrivilege`. Windows
	// only. Default: that one alone. Empty but not nil: all of the account's.
	Privileges []string
	// RestrictedSID also denies writing where the service's own identity was
	// not let in. Windows only. Default: it does not.
	RestrictedSID bool
	// Socket is an address that systemd listens on for the service, as
	// "127.0.0.1:8080"; Serve then takes that socket, and connections wait
	// while the service restarts. systemd only.
	Socket string
	// Writable are absolute folders that the service may write to under systemd,
	// beside /var/lib/NAME, /var/log/NAME and /run/NAME. Default: none.
	Writable []string
	// Watchdog is the time within which systemd wants a sign of life. Default:
	// 30 s. systemd only.
	Watchdog time.Duration
}

// withDefaults fills in what was left out, and refuses what cannot be.
func (r Registration) withDefaults(name string) (Registration, error) {
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$`).MatchString(name) {
		return r, fmt.Errorf("%w: %q cannot be the name of a service", ErrUsage, name)
	}
	set(&r.DisplayName, name)
	set(&r.Description, name)
	if r.Recovery == nil {
		r.Recovery = []time.Duration{time.Second, 10 * time.Second, time.Minute}
	}
	if r.RecoveryReset <= 0 {
		r.RecoveryReset = 24 * time.Hour
	}
	if r.Privileges == nil {
		r.Privileges = []string{"SeChangeNotifyPrivilege"}
	}
	if r.Watchdog <= 0 {
		r.Watchdog = 30 * time.Second
	}
	all := append([]string{r.DisplayName, r.Description, r.Account, r.Socket}, r.Args...)
	for _, list := range [][]string{r.Env, r.DependsOn, r.Privileges, r.Writable} {
		all = append(all, list...)
	}
	for _, text := range all {
		if strings.ContainsAny(text, "\x00\r\n") {
			return r, fmt.Errorf("%w: %q has more than one line", ErrUsage, text)
		}
	}
	for _, pair := range r.Env {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
			return r, errors.Join(ErrUsage, fmt.Errorf("environment %q: want NAME=value", pair))
		}
	}
	return r, nil
}

func set(s *string, to string) {
	if *s == "" {
		*s = to
	}
}
