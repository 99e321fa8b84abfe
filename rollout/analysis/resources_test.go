package analysis

import (
	"strings"
	"testing"
	"time"
)

func TestResources(t *testing.T) {
	t.Parallel()
	limits := Limits{CPU: 1.5, Memory: 100 << 20, Handles: 500}
	for name, c := range map[string]struct {
		limits  Limits
		after   time.Duration // when it begins to use more
		cores   float64
		memory  int64
		handles int64
		want    string
	}{
		"modest":            {limits, 0, 1, 90 << 20, 400, ""},
		"no limits":         {Limits{}, 0, 8, 1 << 40, 1 << 20, ""},
		"busy":              {limits, 40 * time.Second, 2, 0, 0, "web1: canary keeps 2.00 processors busy, limit 1.5"},
		"large":             {limits, 0, 0, 101 << 20, 0, "web1: canary's working set is 101 MB, limit 100 MB"},
		"leaks":             {limits, 50 * time.Second, 0, 0, 501, "web1: canary has 501 handles open, limit 500"},
		"busy at the start": {Limits{CPU: 1.5}, -1, 3, 0, 0, ""},
	} {
		r := NewResources(c.limits)
		var u Usage
		got, at := "", time.Duration(0)
		for d := time.Duration(0); d < 2*time.Minute && got == ""; d += time.Second {
			if busy := d > c.after; busy && c.after >= 0 || c.after < 0 && d < 25*time.Second {
				u.CPU += time.Duration(c.cores * float64(time.Second))
				u.Memory, u.Handles = c.memory, c.handles
			}
			seen := u
			got, _ = r.Observe(t0.Add(d), "web1", &seen)
			at = d
		}
		if got != c.want && !strings.HasPrefix(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: %q after %s, want %q", name, got, at, c.want)
		}
		if got != "" && at < warmTime {
			t.Errorf("%s: after %s, while it is warming up", name, at)
		}
	}
	if why, broken := NewResources(limits).Observe(t0, "web1", nil); broken {
		t.Error(why)
	}
}

// TestUsageThatIsNotTold: a host that does not tell is held to no limit, and
// that is said for as long as it lasts.
func TestUsageThatIsNotTold(t *testing.T) {
	r := NewResources(Limits{Memory: 1})
	for i, step := range []struct {
		usage *Usage
		want  string
	}{
		{nil, "a does not tell what its canary uses: nobody knows whether it keeps analysis.limits"},
		{&Usage{}, ""}, {nil, ""}, {nil, "a does not tell for 20s what its canary uses: nobody knows whether it keeps analysis.limits"}, {&Usage{}, ""},
	} {
		now := t0.Add(seconds(20 * i))
		r.Observe(now, "a", step.usage)
		if why := r.Untold(now); why != step.want {
			t.Errorf("look %d: %q", i, why)
		}
	}
	r.Observe(t0, "b", nil)
	r.Forget("b")
	free := NewResources(Limits{})
	free.Observe(t0, "a", nil)
	if why := r.Untold(t0.Add(seconds(200))) + free.Untold(t0.Add(seconds(200))); why != "" {
		t.Errorf("%s", why)
	}
}
