package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf16"
	"unsafe"

	syswin "golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/scm/wine"
	"github.com/go-shipper/shipper/host/store"
)

// Host is the machine this runs on.
type Host struct{}

func (Host) open(key string, access uint32) (registry.Key, bool) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, key, access|registry.WOW64_64KEY)
	return k, err == nil
}

// Text implements System.
func (h Host) Text(key, value string) (string, bool) {
	k, ok := h.open(key, registry.QUERY_VALUE)
	if !ok {
		return "", false
	}
	defer k.Close()
	if text, _, err := k.GetStringValue(value); err == nil {
		return text, true
	}
	if lines, _, err := k.GetStringsValue(value); err == nil {
		return strings.Join(lines, "\n"), true
	}
	if n, _, err := k.GetIntegerValue(value); err == nil {
		return strconv.FormatUint(n, 10), true
	}
	return "", false
}

// Keys implements System.
func (h Host) Keys(key string) []string {
	k, ok := h.open(key, registry.ENUMERATE_SUB_KEYS)
	if !ok {
		return nil
	}
	defer k.Close()
	names, _ := k.ReadSubKeyNames(-1) // what can be read counts
	return names
}

// Values implements System.
func (h Host) Values(key string) []string {
	k, ok := h.open(key, registry.QUERY_VALUE)
	if !ok {
		return nil
	}
	defer k.Close()
	names, _ := k.ReadValueNames(-1) // what can be read counts
	return names
}

// Policies implements System: Windows keeps what it applied last, in UTF-16.
func (Host) Policies() []string {
	files, _ := filepath.Glob(filepath.Join(os.Getenv("SystemRoot"), "security", "templates", "policies", "*.*")) // the pattern is well-formed
	var all []string
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			all = append(all, text(b))
		}
	}
	return all
}

func text(b []byte) string {
	if len(b) < 2 || b[0] != 0xff || b[1] != 0xfe {
		return string(b)
	}
	u := make([]uint16, 0, len(b)/2)
	for b = b[2:]; len(b) >= 2; b = b[2:] {
		u = append(u, uint16(b[0])|uint16(b[1])<<8)
	}
	return string(utf16.Decode(u))
}

// Owner implements System.
func (Host) Owner(port int) (string, error) { return scm.PortOwner(port) }

// Free implements System.
func (Host) Free(dir string) (int64, error) { return store.Free(dir) }

// Token implements System. A filtered token holds Administrators only to be
// denied by it.
func (Host) Token() (admin, filtered bool) {
	token := syswin.GetCurrentProcessToken()
	sid, err := syswin.CreateWellKnownSid(syswin.WinBuiltinAdministratorsSid)
	if err != nil {
		return false, false
	}
	if member, err := syswin.Token(0).IsMember(sid); err == nil && member {
		return true, false
	}
	groups, err := token.GetTokenGroups()
	if err != nil {
		return false, false
	}
	for _, g := range groups.AllGroups() {
		if g.Sid.Equals(sid) {
			return false, true
		}
	}
	return false, false
}

// Functions of the local security authority, which x/sys has not.
var (
	advapi          = syswin.NewLazySystemDLL("advapi32.dll")
	lsaOpenPolicy   = advapi.NewProc("LsaOpenPolicy")
	lsaHolders      = advapi.NewProc("LsaEnumerateAccountsWithUserRight")
	lsaFreeMemory   = advapi.NewProc("LsaFreeMemory")
	lsaClose        = advapi.NewProc("LsaClose")
	errNotSupported = errors.New("this Windows does not tell")
)

const (
	policyLookup      = 0x800 | 0x1 // lookup names, view local information
	statusNoMoreItems = 0x8000001a
)

// Holders implements System.
func (Host) Holders(right string) ([]string, error) {
	if lsaHolders.Find() != nil || wine.Detected() { // Wine's answers with an empty list
		return nil, errNotSupported
	}
	var attributes struct {
		length                   uint32
		root, name               uintptr
		flags                    uint32
		security, qualityService uintptr
	}
	attributes.length = uint32(unsafe.Sizeof(attributes))
	var policy uintptr
	if status, _, _ := lsaOpenPolicy.Call(0, uintptr(unsafe.Pointer(&attributes)), policyLookup, uintptr(unsafe.Pointer(&policy))); status != 0 {
		return nil, fmt.Errorf("open security policy: %w", syswin.NTStatus(status))
	}
	defer lsaClose.Call(policy) //nolint:errcheck // nothing to do about it
	name, err := syswin.NewNTUnicodeString(right)
	if err != nil {
		return nil, err
	}
	var buffer *[1 << 16]*syswin.SID
	var count uint32
	status, _, _ := lsaHolders.Call(policy, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&buffer)), uintptr(unsafe.Pointer(&count)))
	switch {
	case uint32(status) == statusNoMoreItems:
		return nil, nil
	case status != 0:
		return nil, fmt.Errorf("list accounts with %s: %w", right, syswin.NTStatus(status))
	case buffer == nil:
		return nil, errNotSupported
	}
	defer lsaFreeMemory.Call(uintptr(unsafe.Pointer(buffer))) //nolint:errcheck // nothing to do about it
	var sids []string
	for _, sid := range buffer[:min(int(count), len(buffer))] {
		sids = append(sids, sid.String())
	}
	return sids, nil
}
