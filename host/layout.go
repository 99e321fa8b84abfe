// Package host is what happens on a host: the guard, sessions, the release
// store, the slots. It imports nothing of the controller.
package host

import (
	"path/filepath"

	"github.com/go-shipper/shipper/release"
)

// Layout says where things lie on a host.
type Layout struct {
	Programs string // %ProgramFiles%\shipper: bin, services
	Data     string // %ProgramData%\shipper: state, logs, router, guard
}

// DefaultLayout is the one of a Windows host. root, if not empty, holds both
// trees (tests, simulation, transport local on other systems).
func DefaultLayout(root string) Layout {
	if root != "" {
		return Layout{Programs: filepath.Join(root, "programs"), Data: filepath.Join(root, "data")}
	}
	programs, data := systemFolders()
	return Layout{Programs: filepath.Join(programs, "shipper"), Data: filepath.Join(data, "shipper")}
}

// Service is the folder with all that a service leaves on the host beside its releases.
func (l Layout) Service(service string) string { return filepath.Join(l.Data, service) }

// Logs is where a slot writes.
func (l Layout) Logs(service string, s release.Slot) string {
	return filepath.Join(l.Service(service), "logs", string(s))
}

// Guard is the folder of the guard: address and token of its control channel.
func (l Layout) Guard() string { return filepath.Join(l.Data, ".guard") }

// Router is the folder of the router's control channel and state.
func (l Layout) Router() string { return filepath.Join(l.Data, ".router") }
