package service

import (
	"fmt"
	"os"
)

// Mode is who runs the program.
type Mode string

// Modes.
const (
	// Debug is a person at a console: logs are for reading, fakes are allowed,
	// and nothing goes to the event log.
	Debug Mode = "debug"
	// WindowsService is the service manager of Windows.
	WindowsService Mode = "windows-service"
	// Systemd is systemd, as Type=notify or Type=notify-reload.
	Systemd Mode = "systemd"
	// Daemon is another supervisor: shipper's wrapper for console programs, a
	// container, an init script.
	Daemon Mode = "daemon"
)

// DetectMode says who runs this program. RUNTIME_MODE=debug or
// RUNTIME_MODE=service decides it; any other value is an error. Else shipper
// says so (SHIPPER_MODE), systemd does (NOTIFY_SOCKET), or the parent process
// is the service manager of Windows; without any of these it is Debug.
func DetectMode() (Mode, error) { return detectMode(os.Getenv, platformService) }

// detectMode asks platform, which gives the platform's own mode of a service,
// and whether its service manager started us.
func detectMode(env func(string) string, platform func() (Mode, bool)) (Mode, error) {
	forced := env("RUNTIME_MODE")
	switch forced {
	case "debug":
		return Debug, nil
	case "", "service":
	default:
		return "", fmt.Errorf("RUNTIME_MODE is %q: want debug or service", forced)
	}
	if env("NOTIFY_SOCKET") != "" {
		return Systemd, nil
	}
	if env("SHIPPER_MODE") == "console" {
		return Daemon, nil
	}
	mode, started := platform()
	if forced == "service" || env("SHIPPER_MODE") == "native" || started {
		return mode, nil
	}
	return Debug, nil
}
