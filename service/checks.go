package service

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-shipper/shipper/service/resource"
)

// Gauge makes a check of a number: it fails at or above high, and once it
// fails, until the number is below low.
func Gauge(name, unit string, high, low float64, read func(context.Context) (float64, error)) Check {
	var mu sync.Mutex
	failing := false
	return Check{Name: name, Probe: func(ctx context.Context) error {
		v, err := read(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		failing = v >= high || failing && v >= low
		if failing {
			return fmt.Errorf("%.1f %s (limit %g, well below %g)", v, unit, high, low)
		}
		return nil
	}}
}

// CPU degrades the service when the processors of the machine, or of its
// container, are busy for 90 % of ten seconds, until that is below 80 %.
func CPU() Check {
	var meter resource.CPU
	c := Gauge("cpu", "% busy", 90, 80, func(context.Context) (float64, error) { return meter.Busy() })
	c.Every, c.Action = 10*time.Second, Degrade
	return c
}

// Memory alerts when 85 % of the memory of the machine, or of its container,
// are in use, every ten seconds, until that is below 80 %.
func Memory() Check {
	c := Gauge("memory", "% in use", 85, 80, func(context.Context) (float64, error) {
		m, err := resource.ReadMemory()
		return m.Percent(), err
	})
	c.Every, c.Action = 10*time.Second, Alert
	return c
}

// Dependency degrades the service when what it needs does not answer three
// times in a row, every five seconds, until it answers twice in a row.
func Dependency(name string, probe func(ctx context.Context) error) Check {
	return Check{Name: name, Every: 5 * time.Second, Failures: 3, Successes: 2, Action: Degrade, Probe: probe}
}

// DiskWait alerts when writing 4 KiB to a file in dir and flushing it takes
// longer than limit three times in a row, every ten seconds, until it takes
// half of it.
func DiskWait(dir string, limit time.Duration) Check {
	high := float64(limit) / float64(time.Millisecond)
	c := Gauge("disk", "ms to flush", high, high/2, func(context.Context) (float64, error) {
		d, err := flush(dir)
		return float64(d) / float64(time.Millisecond), err
	})
	c.Every, c.Failures, c.Action = 10*time.Second, 3, Alert
	return c
}

func flush(dir string) (time.Duration, error) {
	// One name, so that a crash leaves one file at most; what another instance
	// writes to it meanwhile does not matter.
	f, err := os.OpenFile(filepath.Join(dir, ".disk-wait"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 0, fmt.Errorf("disk: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 4<<10)
	_, _ = rand.Read(page) // never fails; a disk may not store zeros at all
	begin := time.Now()
	if _, err := f.Write(page); err != nil {
		return 0, fmt.Errorf("disk: %w", err)
	}
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("disk: %w", err)
	}
	return time.Since(begin), nil
}
