package resource

import (
	"errors"
	"runtime"
	"testing"
)

func TestShare(t *testing.T) {
	for _, tt := range []struct {
		before, now ticks
		want        float64
		err         error
	}{
		{ticks{}, ticks{50, 100}, 0, nil}, // the first look
		{ticks{50, 100}, ticks{75, 200}, 25, nil},
		{ticks{50, 100}, ticks{150, 200}, 100, nil},
		{ticks{50, 100}, ticks{300, 200}, 100, nil}, // counters that were read one after the other
		{ticks{50, 100}, ticks{50, 100}, 0, ErrEarly},
		{ticks{50, 100}, ticks{40, 200}, 0, ErrEarly},
	} {
		if got, err := share(tt.before, tt.now); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%v to %v: %g, %v", tt.before, tt.now, got, err)
		}
	}
}

// This machine has memory, processors, and this process.
func TestThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		t.Skip("not read here")
	}
	m, err := ReadMemory()
	if err != nil || m.Total < 64<<20 || m.Used == 0 || m.Used > m.Total || m.Percent() <= 0 {
		t.Errorf("memory %+v, %v", m, err)
	}
	p, err := ReadProcess()
	if err != nil || p.Resident < 1<<20 || p.Resident > m.Total || p.Threads < 1 || p.Handles < 1 {
		t.Errorf("process %+v, %v", p, err)
	}
	first, err := readTicks()
	if err != nil || first.all == 0 || first.busy > first.all {
		t.Errorf("processors %+v, %v", first, err)
	}
}
