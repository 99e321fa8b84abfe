package tree

import (
	"errors"
	"time"
)

// Usage is what processes use of their host.
type Usage struct {
	CPU     time.Duration // since they began
	Memory  int64         // bytes that are resident: Windows' working set
	Handles int64         // open handles, or files
}

// UsageOf adds up what a process and those below it use. Processes that ended
// meanwhile use nothing.
func UsageOf(root int) (Usage, error) {
	table, err := Snapshot()
	if err != nil {
		return Usage{}, err
	}
	if _, ok := table[root]; !ok {
		return Usage{}, errors.New("the process is gone")
	}
	sum, err := usage(root)
	if err != nil {
		return Usage{}, err
	}
	for _, pid := range table.Descendants(root) {
		if u, err := usage(pid); err == nil {
			sum.CPU += u.CPU
			sum.Memory += u.Memory
			sum.Handles += u.Handles
		}
	}
	return sum, nil
}
