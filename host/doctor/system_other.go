//go:build !windows

package doctor

import (
	"errors"

	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/store"
)

// Host is the machine this runs on, which has no registry.
type Host struct{}

var errNotWindows = errors.New("this is not Windows")

// Text implements System.
func (Host) Text(string, string) (string, bool) { return "", false }

// Keys implements System.
func (Host) Keys(string) []string { return nil }

// Values implements System.
func (Host) Values(string) []string { return nil }

// Policies implements System.
func (Host) Policies() []string { return nil }

// Holders implements System.
func (Host) Holders(string) ([]string, error) { return nil, errNotWindows }

// Owner implements System.
func (Host) Owner(port int) (string, error) { return scm.PortOwner(port) }

// Token implements System.
func (Host) Token() (admin, filtered bool) { return true, false }

// Free implements System.
func (Host) Free(dir string) (int64, error) { return store.Free(dir) }
