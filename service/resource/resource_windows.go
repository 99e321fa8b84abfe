package resource

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// What golang.org/x/sys does not have.
func kernel(name string) *windows.LazyProc {
	return windows.NewLazySystemDLL("kernel32.dll").NewProc(name)
}

// memoryStatus is MEMORYSTATUSEX.
type memoryStatus struct {
	length, load                               uint32
	total, available                           uint64
	totalPage, availablePage                   uint64
	totalVirtual, availableVirtual, available2 uint64
}

func readMemory() (Memory, error) {
	var m memoryStatus
	m.length = uint32(unsafe.Sizeof(m))
	if ok, _, err := kernel("GlobalMemoryStatusEx").Call(uintptr(unsafe.Pointer(&m))); ok == 0 {
		return Memory{}, fmt.Errorf("read memory: %w", err)
	}
	return Memory{Total: m.total, Used: m.total - min(m.total, m.available)}, nil
}

// readTicks is in units of 100 ns; the kernel's time has the idle time in it.
func readTicks() (ticks, error) {
	var idle, kernelTime, user windows.Filetime
	ok, _, err := kernel("GetSystemTimes").Call(uintptr(unsafe.Pointer(&idle)),
		uintptr(unsafe.Pointer(&kernelTime)), uintptr(unsafe.Pointer(&user)))
	if ok == 0 {
		return ticks{}, fmt.Errorf("read processors: %w", err)
	}
	all := span(kernelTime) + span(user)
	return ticks{busy: all - min(all, span(idle)), all: all}, nil
}

// span is a Filetime that means a length of time.
func span(t windows.Filetime) uint64 { return uint64(t.HighDateTime)<<32 | uint64(t.LowDateTime) }

// memoryCounters is PROCESS_MEMORY_COUNTERS.
type memoryCounters struct {
	size, faults                        uint32
	peakWorkingSet, workingSet          uintptr
	peakPaged, paged, peakNon, nonPaged uintptr
	pagefile, peakPagefile              uintptr
}

func readProcess() (Process, error) {
	own := windows.CurrentProcess()
	var created, exited, kernelTime, user windows.Filetime
	if err := windows.GetProcessTimes(own, &created, &exited, &kernelTime, &user); err != nil {
		return Process{}, fmt.Errorf("read process: %w", err)
	}
	p := Process{CPU: time.Duration(span(kernelTime)+span(user)) * 100}
	m := memoryCounters{size: uint32(unsafe.Sizeof(memoryCounters{}))}
	if ok, _, err := kernel("K32GetProcessMemoryInfo").Call(uintptr(own), uintptr(unsafe.Pointer(&m)), uintptr(m.size)); ok == 0 {
		return p, fmt.Errorf("read process: memory: %w", err)
	}
	p.Resident = uint64(m.workingSet)
	var handles uint32
	if ok, _, err := kernel("GetProcessHandleCount").Call(uintptr(own), uintptr(unsafe.Pointer(&handles))); ok == 0 {
		return p, fmt.Errorf("read process: handles: %w", err)
	}
	p.Handles = int(handles)
	threads, err := threadsOf(windows.GetCurrentProcessId())
	p.Threads = threads
	return p, err
}

func threadsOf(pid uint32) (int, error) {
	snapshot, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return 0, fmt.Errorf("read process: threads: %w", err)
	}
	defer windows.CloseHandle(snapshot)
	entry := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snapshot, &entry); err == nil; err = windows.Process32Next(snapshot, &entry) {
		if entry.ProcessID == pid {
			return int(entry.Threads), nil
		}
	}
	return 0, fmt.Errorf("read process: threads: %w", err)
}
