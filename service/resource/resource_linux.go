package resource

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func readMemory() (Memory, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return Memory{}, fmt.Errorf("read memory: %w", err)
	}
	m, err := parseMeminfo(string(text))
	if err != nil {
		return m, err
	}
	limit, limited := cgroupNumber("memory.max")
	used, known := cgroupNumber("memory.current")
	if limited && known && limit < m.Total {
		cache, _ := cgroupStat("memory.stat", "inactive_file")
		return Memory{Total: limit, Used: used - min(used, cache)}, nil
	}
	return m, nil
}

func parseMeminfo(text string) (Memory, error) {
	kib := map[string]uint64{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			kib[name], _ = strconv.ParseUint(fields[0], 10, 64)
		}
	}
	total, available := kib["MemTotal"], kib["MemAvailable"]
	if total == 0 || available > total {
		return Memory{}, fmt.Errorf("read memory: total %d KiB, available %d KiB", total, available)
	}
	return Memory{Total: total << 10, Used: (total - available) << 10}, nil
}

// The service's own cgroup (version 2); in a container it is the root of what
// is seen.
func cgroupFile(name string) ([]byte, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(own)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return os.ReadFile("/sys/fs/cgroup" + path + "/" + name)
		}
	}
	return nil, os.ErrNotExist
}

func cgroupNumber(name string) (uint64, bool) {
	text, err := cgroupFile(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil // "max" is no limit
}

func cgroupStat(name, key string) (uint64, bool) {
	text, err := cgroupFile(name)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// readTicks prefers the container's own time where it has a limit of
// processors: what it used, of what it might have had, in microseconds.
func readTicks() (ticks, error) {
	if processors, ok := cgroupProcessors(); ok {
		var now unix.Timespec
		usage, known := cgroupStat("cpu.stat", "usage_usec")
		if known && unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) == nil {
			return ticks{busy: usage, all: uint64(processors * float64(now.Nano()/1000))}, nil
		}
	}
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return ticks{}, fmt.Errorf("read processors: %w", err)
	}
	return parseStat(string(text))
}

// cgroupProcessors is the limit of processors, from "quota period".
func cgroupProcessors() (float64, bool) {
	text, err := cgroupFile("cpu.max")
	if err != nil {
		return 0, false
	}
	var quota, period float64
	n, err := fmt.Sscan(string(text), &quota, &period) // fails at "max"
	return quota / period, err == nil && n == 2 && period > 0
}

// parseStat reads the first line of /proc/stat: idle and waiting for disks
// are not busy, and a guest's time is in user's already.
func parseStat(text string) (ticks, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 8 || fields[0] != "cpu" {
		return ticks{}, fmt.Errorf("read processors: cannot understand %q", line)
	}
	var t ticks
	for i, f := range fields[1:min(len(fields), 9)] {
		n, err := strconv.ParseUint(f, 10, 64)
		if err != nil {
			return ticks{}, fmt.Errorf("read processors: %w", err)
		}
		t.all += n
		if i != 3 && i != 4 {
			t.busy += n
		}
	}
	return t, nil
}

func readProcess() (Process, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return Process{}, fmt.Errorf("read process: %w", err)
	}
	p := Process{CPU: time.Duration(u.Utime.Nano() + u.Stime.Nano())}
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return p, fmt.Errorf("read process: %w", err)
	}
	if fields := strings.Fields(string(statm)); len(fields) > 1 {
		pages, _ := strconv.ParseUint(fields[1], 10, 64)
		p.Resident = pages * uint64(os.Getpagesize())
	}
	for dir, count := range map[string]*int{"/proc/self/fd": &p.Handles, "/proc/self/task": &p.Threads} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return p, fmt.Errorf("read process: %w", err)
		}
		*count = len(entries)
	}
	return p, nil
}
