// Package resource reads how busy the machine is: processors and memory, on
// Windows and Linux, the limits of a container included. Elsewhere its
// functions return errors.ErrUnsupported.
package resource

import (
	"errors"
	"sync"
	"time"
)

// Memory of the machine, or of its container where that has less, in bytes.
type Memory struct {
	Total uint64 // that there is
	Used  uint64 // without what the system would give back at once
}

// Percent in use, 0 to 100.
func (m Memory) Percent() float64 {
	if m.Total == 0 {
		return 0
	}
	return 100 * float64(m.Used) / float64(m.Total)
}

// ReadMemory reads the memory as it is now.
func ReadMemory() (Memory, error) { return readMemory() }

// ErrEarly says that there was no time between two looks.
var ErrEarly = errors.New("too early to tell")

// CPU tells how busy the processors were between two looks. The zero value is
// ready; its first look begins.
type CPU struct {
	mu   sync.Mutex
	last ticks
}

// ticks are what the processors did since the boot: busy and all, in one unit.
type ticks struct{ busy, all uint64 }

// Busy is the share of all processors' time that was used since the call
// before, in percent, 0 to 100; the first call returns 0.
func (c *CPU) Busy() (float64, error) {
	now, err := readTicks()
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.last
	c.last = now
	return share(before, now)
}

func share(before, now ticks) (float64, error) {
	switch {
	case before.all == 0:
		return 0, nil
	case now.all <= before.all || now.busy < before.busy:
		return 0, ErrEarly
	}
	return min(100, 100*float64(now.busy-before.busy)/float64(now.all-before.all)), nil
}

// Process is what this process used since its start.
type Process struct {
	CPU      time.Duration // of all its threads, user and system
	Resident uint64        // bytes in memory
	Handles  int           // open files, sockets, and other handles
	Threads  int           // of the operating system
}

// ReadProcess reads what this process used until now.
func ReadProcess() (Process, error) { return readProcess() }
