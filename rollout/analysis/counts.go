package analysis

import "github.com/go-shipper/shipper/release"

// differ turns totals into what was added between two looks at a host.
type differ map[string]Look

// add returns what canary and stable did since the last look at host. The
// first look is the zero mark and adds nothing. A new epoch counts from zero.
func (d differ) add(host string, l Look) (canary, stable Counts) {
	before, known := d[host]
	d[host] = l
	switch {
	case !known:
		return Counts{}, Counts{}
	case before.Epoch != l.Epoch:
		before = Look{}
	}
	return l.Canary.minus(before.Canary), l.Stable.minus(before.Stable)
}

// minus is what came since before; nothing where the totals went down, which
// only broken counters do.
func (c Counts) minus(before Counts) Counts {
	out := Counts{
		Requests: c.Requests - before.Requests, Errors: c.Errors - before.Errors,
		Drawn: c.Drawn, Units: c.Units - before.Units, UnitErrors: c.UnitErrors - before.UnitErrors, Share: c.Share - before.Share,
	}
	if min(out.Requests, out.Errors, out.Units, out.UnitErrors, out.Share) < 0 {
		return Counts{}
	}
	out.Latency = make([]int64, min(len(c.Latency), release.LatencyBuckets))
	for i, n := range c.Latency[:len(out.Latency)] {
		if i < len(before.Latency) {
			n -= before.Latency[i]
		}
		out.Latency[i] = max(n, 0)
	}
	return out
}

// plus adds more to c.
func (c *Counts) plus(more Counts) {
	c.Requests += more.Requests
	c.Errors += more.Errors
	if grow := len(more.Latency) - len(c.Latency); grow > 0 {
		c.Latency = append(c.Latency, make([]int64, grow)...)
	}
	for i, n := range more.Latency {
		c.Latency[i] += n
	}
}

func (c Counts) ratio() float64 {
	if c.Requests == 0 {
		return 0
	}
	return float64(c.Errors) / float64(c.Requests)
}

// window is what both arms did in the same time.
type window struct{ canary, stable Counts }

func (w *window) plus(canary, stable Counts) {
	w.canary.plus(canary)
	w.stable.plus(stable)
}
