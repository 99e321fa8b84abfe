package tree

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Snapshot reads the table of processes by the tool help library. The birth
// of a process that may not be opened stays 0.
func Snapshot() (Table, error) {
	snap, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer windows.CloseHandle(snap)
	t := Table{}
	e := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snap, &e); err == nil; err = windows.Process32Next(snap, &e) {
		t[int(e.ProcessID)] = Proc{Parent: int(e.ParentProcessID), Birth: birth(e.ProcessID)}
	}
	if err != windows.ERROR_NO_MORE_FILES {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	return t, nil
}

func birth(pid uint32) uint64 {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return 0
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return 0
	}
	return uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime)
}
