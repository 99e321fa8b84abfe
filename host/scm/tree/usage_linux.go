package tree

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of times in /proc.
const tick = 10 * time.Millisecond

func usage(pid int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("read what process %d uses: %w", pid, err)
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name may hold anything
	if len(fields) < 22 {
		return Usage{}, fmt.Errorf("read what process %d uses: %d fields", pid, len(fields))
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(string(fields[i]), 10, 64); return n } // the kernel writes numbers
	u := Usage{CPU: time.Duration(number(11)+number(12)) * tick, Memory: number(21) * int64(os.Getpagesize())}
	if files, err := os.ReadDir(dir + "/fd"); err == nil {
		u.Handles = int64(len(files))
	}
	return u, nil
}
