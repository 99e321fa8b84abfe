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
	if err := check(path); err != nil {
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

func check(path string) error {
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
	if !trusted(owner) && !wine.Detected() {
		return fmt.Errorf("owner %s: %w", owner, ErrForeign)
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

func entry(sid *windows.SID, a Access) windows.EXPLICIT_ACCESS {
	rights := windows.ACCESS_MASK(windows.GENERIC_READ | windows.GENERIC_EXECUTE)
	if a == Modify {
		rights |= windows.GENERIC_WRITE | windows.DELETE
	}
	return windows.EXPLICIT_ACCESS{
		AccessPermissions: rights,
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

// replace waits a moment for scanners and backups that hold the old file.
func replace(from, to string) error {
	var err error
	for wait := 5 * time.Millisecond; wait < 2*time.Second; wait *= 2 {
		err = os.Rename(from, to)
		if !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			return err
		}
		time.Sleep(wait)
	}
	return err
}
