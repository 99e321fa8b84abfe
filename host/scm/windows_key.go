//go:build windows

package scm

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows/registry"

	"github.com/go-shipper/shipper/host/scm/wine"
)

// Values in a service's registry key. Every user may read them: nothing
// secret belongs here.
const (
	servicesKey      = `SYSTEM\CurrentControlSet\Services\`
	environmentValue = "Environment"        // what the service manager adds to the process's environment
	timeoutValue     = "ShipperStopTimeout" // milliseconds; the service manager has no such setting
	dependsValue     = "DependOnService"    // the service manager's own
)

func writeKey(s Spec) error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, servicesKey+s.Name, registry.SET_VALUE)
	if err != nil {
		return fmt.Errorf("open registry key of service: %w", err)
	}
	defer key.Close()
	if len(s.Env) > 0 {
		err = key.SetStringsValue(environmentValue, s.Env)
	} else {
		err = optionalValue(key.DeleteValue(environmentValue))
	}
	if err != nil {
		return fmt.Errorf("set environment of service: %w", err)
	}
	if s.StopTimeout > 0 {
		err = key.SetDWordValue(timeoutValue, uint32(s.StopTimeout.Milliseconds()))
	} else {
		err = optionalValue(key.DeleteValue(timeoutValue))
	}
	if err != nil {
		return fmt.Errorf("set stop timeout of service: %w", err)
	}
	return nil
}

// readKey adds what the key holds. Wine tells the dependencies here only.
func readKey(s *Spec) error {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, servicesKey+s.Name, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return nil // Wine runs services of its own that have none
	}
	if err != nil {
		return fmt.Errorf("open registry key of service: %w", err)
	}
	defer key.Close()
	if s.Env, err = stringsValue(key, environmentValue); err != nil {
		return err
	}
	ms, _, err := key.GetIntegerValue(timeoutValue)
	if err = optionalValue(err); err != nil {
		return fmt.Errorf("read stop timeout of service: %w", err)
	}
	s.StopTimeout = time.Duration(ms) * time.Millisecond
	if wine.Detected() {
		s.DependsOn, err = stringsValue(key, dependsValue)
	}
	return err
}

func stringsValue(key registry.Key, name string) ([]string, error) {
	list, _, err := key.GetStringsValue(name)
	if err = optionalValue(err); err != nil {
		return nil, fmt.Errorf("read registry value %s of service: %w", name, err)
	}
	return list, nil
}

func optionalValue(err error) error {
	if errors.Is(err, registry.ErrNotExist) {
		return nil
	}
	return err
}
