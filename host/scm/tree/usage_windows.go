package tree

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// memoryCounters is PROCESS_MEMORY_COUNTERS.
type memoryCounters struct {
	size, faults                   uint32
	peakWorkingSet, workingSet     uintptr
	peakPaged, paged, peakNon, non uintptr
	pagefile, peakPagefile         uintptr
}

func usage(pid int) (Usage, error) {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	defer windows.CloseHandle(h)
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return Usage{}, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	kernel32 := windows.NewLazySystemDLL("kernel32.dll")
	memory := memoryCounters{}
	memory.size = uint32(unsafe.Sizeof(memory))
	if ok, _, err := kernel32.NewProc("K32GetProcessMemoryInfo").Call(uintptr(h), uintptr(unsafe.Pointer(&memory)), unsafe.Sizeof(memory)); ok == 0 {
		return Usage{}, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	var handles uint32
	if ok, _, err := kernel32.NewProc("GetProcessHandleCount").Call(uintptr(h), uintptr(unsafe.Pointer(&handles))); ok == 0 {
		return Usage{}, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	return Usage{CPU: ticks(kernel) + ticks(user), Memory: int64(memory.workingSet), Handles: int64(handles)}, nil
}

// ticks are 100 nanoseconds each.
func ticks(t windows.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100
}
