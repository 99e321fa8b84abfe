package service

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// platformService looks at the parent: it is services.exe for a service.
// svc.IsWindowsService also wants session 0, which Wine does not give, and to
// try a connection to the service manager takes many seconds there.
func platformService() (Mode, bool) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return WindowsService, false
	}
	defer windows.CloseHandle(snapshot)
	own, parent := windows.GetCurrentProcessId(), uint32(0)
	names := map[uint32]string{}
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		names[entry.ProcessID] = windows.UTF16ToString(entry.ExeFile[:])
		if entry.ProcessID == own {
			parent = entry.ParentProcessID
		}
	}
	return WindowsService, strings.EqualFold(names[parent], "services.exe")
}
