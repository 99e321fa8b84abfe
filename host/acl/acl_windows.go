package acl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/go-shipper/shipper/host/scm/wine"
)

// protected: nothing inherited; SYSTEM and Administrators everything.
const protected = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

// The longest pause between two tries; all of them together take twice as long.
const (
	replacePause = 3 * time.Second // scanners look at a new executable
	removePause  = time.Second / 2
)

// owners who may be trusted with a folder of ours.
var owners = []windows.WELL_KNOWN_SID_TYPE{windows.WinLocalSystemSid, windows.WinBuiltinAdministratorsSid}

func ensureRoot(path string) error {
	if err := checkParents(filepath.Dir(path)); err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString("O:BA" + protected)
	if err != nil {
		return fmt.Errorf("build security descriptor: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	err = windows.CreateDirectory(name, attributes(sd))
	if err != nil && !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return err
	}
	if err := check(path, nil); err != nil {
		return err
	}
	return protect(path, sd)
}

func attributes(sd *windows.SECURITY_DESCRIPTOR) *windows.SecurityAttributes {
	return &windows.SecurityAttributes{
		Length:             uint32(unsafe.Sizeof(windows.SecurityAttributes{})),
		SecurityDescriptor: sd,
	}
}

func protect(path string, sd *windows.SECURITY_DESCRIPTOR) error {
	dacl, _, err := sd.DACL()
	if err != nil {
		return fmt.Errorf("read access list: %w", err)
	}
	return tolerate(windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil))
}

// tolerate forgives on Wine only: access lists go no further there than the
// mode bits of Unix.
func tolerate(err error) error {
	if err != nil && wine.Detected() {
		return nil
	}
	return err
}

// checkParents refuses a reparse point anywhere on the way.
func checkParents(path string) error {
	for {
		if err := checkLink(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("parent %s: %w", path, err)
		}
		up := filepath.Dir(path)
		if up == path {
			return nil
		}
		path = up
	}
}

func check(path string, tenants []string) error {
	if err := checkLink(path); err != nil {
		return err
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return tolerate(fmt.Errorf("read owner: %w", err))
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return tolerate(fmt.Errorf("read owner: %w", err))
	}
	if trusted(owner) || wine.Detected() {
		return nil
	}
	for _, t := range tenants {
		if sid, err := lookup(t); err == nil && sid.Equals(owner) {
			return nil
		}
	}
	return handOver(path, owner)
}

// handOver gives the administrators what is our own. By a policy of some
// hosts what an administrator makes belongs to him and not to his group; the
// guard, under another account, would take it for a stranger's.
func handOver(path string, owner *windows.SID) error {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil || !user.User.Sid.Equals(owner) {
		return fmt.Errorf("owner %s: %w", owner, ErrForeign)
	}
	group, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return fmt.Errorf("name the administrators: %w", err)
	}
	err = windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION, group, nil, nil, nil)
	if err != nil { // we are none of them
		return fmt.Errorf("owner %s: %w (%w)", owner, ErrForeign, err)
	}
	return nil
}

func checkLink(path string) error {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	a, err := windows.GetFileAttributes(name)
	if err != nil {
		return err
	}
	if a&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		return fmt.Errorf("it is a reparse point: %w", ErrForeign)
	}
	return nil
}

func trusted(owner *windows.SID) bool {
	for _, kind := range owners {
		if owner.IsWellKnown(kind) {
			return true
		}
	}
	return owner.String() == serviceSID("TrustedInstaller") // owns what Windows installed
}

func grant(path, account string, a Access) error {
	sid, err := lookup(account)
	if err != nil {
		return tolerate(err)
	}
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return tolerate(fmt.Errorf("read access list: %w", err))
	}
	old, _, err := sd.DACL()
	if err != nil {
		return tolerate(fmt.Errorf("read access list: %w", err))
	}
	dacl, err := windows.ACLFromEntries([]windows.EXPLICIT_ACCESS{entry(sid, a)}, old)
	if err != nil {
		return tolerate(fmt.Errorf("build access list: %w", err))
	}
	return tolerate(windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION, nil, nil, dacl, nil))
}

// rights of files, not generic ones: what is read back is what was written.
func (a Access) rights() windows.ACCESS_MASK {
	if a == Modify {
		return windows.FILE_GENERIC_READ | windows.FILE_GENERIC_EXECUTE | windows.FILE_GENERIC_WRITE | windows.DELETE
	}
	return windows.FILE_GENERIC_READ | windows.FILE_GENERIC_EXECUTE
}

func entry(sid *windows.SID, a Access) windows.EXPLICIT_ACCESS {
	return windows.EXPLICIT_ACCESS{
		AccessPermissions: a.rights(),
		AccessMode:        windows.SET_ACCESS,
		Inheritance:       windows.SUB_CONTAINERS_AND_OBJECTS_INHERIT,
		Trustee: windows.TRUSTEE{
			TrusteeForm:  windows.TRUSTEE_IS_SID,
			TrusteeType:  windows.TRUSTEE_IS_UNKNOWN,
			TrusteeValue: windows.TrusteeValueFromSID(sid),
		},
	}
}

// lookup knows the short names that the service manager takes for accounts.
func lookup(account string) (*windows.SID, error) {
	switch strings.ToLower(account) {
	case "", "localsystem", `.\localsystem`:
		return windows.CreateWellKnownSid(windows.WinLocalSystemSid)
	case "localservice", `nt authority\localservice`:
		return windows.CreateWellKnownSid(windows.WinLocalServiceSid)
	case "networkservice", `nt authority\networkservice`:
		return windows.CreateWellKnownSid(windows.WinNetworkServiceSid)
	}
	if domain, name, ok := strings.Cut(account, `\`); ok && strings.EqualFold(domain, "NT SERVICE") {
		return windows.StringToSid(serviceSID(name))
	}
	sid, _, _, err := windows.LookupSID("", strings.TrimPrefix(account, `.\`))
	if err != nil {
		return nil, fmt.Errorf("look up account: %w", err)
	}
	return sid, nil
}

func createProtected(path, account string) (*os.File, error) {
	list := protected
	if account != "" {
		sid, err := lookup(account)
		if err != nil && !wine.Detected() {
			return nil, err
		}
		if err == nil {
			list += "(A;;FR;;;" + sid.String() + ")"
		}
	}
	sd, err := windows.SecurityDescriptorFromString(list)
	if err != nil {
		return nil, fmt.Errorf("build security descriptor: %w", err)
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, attributes(sd),
		windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(h), path), nil
}

func removeAll(path string) error {
	return patiently(removePause, func() error { return os.RemoveAll(path) })
}

// replace returns when the new name is on the disk: NTFS would write it down
// some seconds later, and a power cut in between would undo it.
func replace(from, to string) error {
	old, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	name, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	err = patiently(replacePause, func() error {
		return windows.MoveFileEx(old, name, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
	})
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// patiently repeats what scanners, backups and programs that just ended get in
// the way of: with a file they hold the folders above it.
func patiently(longest time.Duration, f func() error) error {
	var err error
	for wait := 5 * time.Millisecond; wait < longest; wait *= 2 {
		err = f()
		if !passing(err) {
			return err
		}
		time.Sleep(wait)
	}
	return err
}

func passing(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED) ||
		errors.Is(err, windows.ERROR_DIR_NOT_EMPTY) // of a folder whose last file is still going
}
