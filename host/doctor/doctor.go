// Package doctor examines a Windows host for what keeps releases from
// working: its version, policies, rights, ports, disk and clock. It changes
// nothing. What it looks at lies behind System, so that each finding has a
// test on any system.
package doctor

import (
	"fmt"

	"github.com/go-shipper/shipper/host/rpc"
)

// System is what a host can be asked.
type System interface {
	// Text reads a value of HKEY_LOCAL_MACHINE as text; ok is false where it,
	// or its key, is missing. Numbers are decimal, lists have lines.
	Text(key, value string) (text string, ok bool)
	// Keys lists the keys, and Values the names of the values, below one.
	Keys(key string) []string
	Values(key string) []string
	// Policies are the security templates that policies of the domain left here.
	Policies() []string
	// Holders lists who has a right, as SIDs.
	Holders(right string) ([]string, error)
	// Owner names the process that listens on a port; empty: nobody.
	Owner(port int) (string, error)
	// Token says whether this process may administer the host, and if not,
	// whether its account could.
	Token() (admin, filtered bool)
	// Free is the room for who runs this, in bytes, where dir lies.
	Free(dir string) (int64, error)
}

// check looks at one thing; no finding means that there is nothing to say.
type check func(System, rpc.Checkup) []rpc.Finding

// Examine makes all checks, in the order in which people mend things.
func Examine(s System, c rpc.Checkup) []rpc.Finding {
	var all []rpc.Finding
	for _, look := range []check{
		windows, architecture, administrator, clock,
		remoteShells, logons, addressFilters, tokenFilter,
		serviceLogon, firewall, publicPort, slotPorts, room, reboot, cluster,
	} {
		all = append(all, look(s, c)...)
	}
	return all
}

func fine(check, format string, args ...any) []rpc.Finding {
	return []rpc.Finding{{Check: check, State: rpc.Fine, Detail: fmt.Sprintf(format, args...)}}
}

func warning(check, hint, format string, args ...any) []rpc.Finding {
	return []rpc.Finding{{Check: check, State: rpc.Warning, Detail: fmt.Sprintf(format, args...), Hint: hint}}
}

func trouble(check, hint, format string, args ...any) []rpc.Finding {
	return []rpc.Finding{{Check: check, State: rpc.Problem, Detail: fmt.Sprintf(format, args...), Hint: hint}}
}

func unknown(check, format string, args ...any) []rpc.Finding {
	return []rpc.Finding{{Check: check, State: rpc.Unknown, Detail: fmt.Sprintf(format, args...)}}
}
