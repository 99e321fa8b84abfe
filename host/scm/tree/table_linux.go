package tree

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGKILL }

// Snapshot reads the table of processes from /proc.
func Snapshot() (Table, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	t := Table{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, ok := readStat(pid); ok {
			t[pid] = p
		}
	}
	return t, nil
}

// readStat takes the parent (field 4) and the start time (field 22) from
// /proc/PID/stat; the name before them may hold any character.
func readStat(pid int) (Proc, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Proc{}, false // it ended meanwhile
	}
	s := string(b)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 20 {
		return Proc{}, false
	}
	parent, err := strconv.Atoi(fields[1])
	birth, err2 := strconv.ParseUint(fields[19], 10, 64)
	return Proc{Parent: parent, Birth: birth}, err == nil && err2 == nil
}
