package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/go-shipper/shipper/release"
)

func isSharing(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED) ||
		errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}

// syncDir does nothing: NTFS journals names, and a folder cannot be flushed.
func syncDir(string) error { return nil }

// MachineID names this machine and no clone of it: the firmware's tables have
// the identity that a hypervisor gives anew, the GUID is Windows' own.
func MachineID() (string, error) {
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, `SOFTWARE\Microsoft\Cryptography`, registry.QUERY_VALUE|registry.WOW64_64KEY)
	if err != nil {
		return "", fmt.Errorf("read the machine's identity: %w", err)
	}
	defer k.Close()
	guid, _, err := k.GetStringValue("MachineGuid")
	if err != nil {
		return "", fmt.Errorf("read the machine's identity: %w", err)
	}
	return release.Of(append([]byte(guid), systemUUID()...)).Short(), nil
}

// systemUUID reads the SMBIOS system information (type 1); empty where there
// is no firmware to ask.
func systemUUID() []byte {
	const provider = 'R'<<24 | 'S'<<16 | 'M'<<8 | 'B'
	get := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetSystemFirmwareTable")
	if get.Find() != nil {
		return nil
	}
	buf := make([]byte, 64<<10)
	n, _, _ := get.Call(provider, 0, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	if n < 8 || n > uintptr(len(buf)) {
		return nil
	}
	return smbiosUUID(buf[8:n])
}

// BootID changes with every boot: it lies in a key that only lives in memory.
func BootID() (string, error) {
	const volatile = 1
	path, err := windows.UTF16PtrFromString(`SOFTWARE\shipper-boot`)
	if err != nil {
		return "", err
	}
	create := windows.NewLazySystemDLL("advapi32.dll").NewProc("RegCreateKeyExW")
	var key syscall.Handle
	code, _, _ := create.Call(uintptr(registry.LOCAL_MACHINE), uintptr(unsafe.Pointer(path)), 0, 0, volatile,
		registry.QUERY_VALUE|registry.SET_VALUE|registry.WOW64_64KEY, 0, uintptr(unsafe.Pointer(&key)), 0)
	if code != 0 {
		return "", fmt.Errorf("open the key of this boot: %w", syscall.Errno(code))
	}
	k := registry.Key(key)
	defer k.Close()
	id, _, err := k.GetStringValue("id")
	if errors.Is(err, registry.ErrNotExist) {
		id = rand.Text()
		err = k.SetStringValue("id", id)
	}
	if err != nil {
		return "", fmt.Errorf("read the key of this boot: %w", err)
	}
	return id, nil
}
