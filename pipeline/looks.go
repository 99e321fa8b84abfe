package pipeline

import (
	"encoding/json"
	"time"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// lookEvery is how often a host's counters go into the journal. They come
// twice a second; what was counted in between is added up.
const lookEvery = 5 * time.Second

// looks keeps what is needed to judge a run again.
type looks struct {
	latest map[string]rollout.Counted
	kept   map[string]rollout.Counted
	at     map[string]time.Time
}

func newLooks() looks {
	return looks{map[string]rollout.Counted{}, map[string]rollout.Counted{}, map[string]time.Time{}}
}

// look remembers a host's counters, and writes them down when it is time.
func (d *driver) look(ev rollout.Counted) {
	d.looks.latest[ev.Host] = ev
	if now := d.p.Now(); now.Sub(d.looks.at[ev.Host]) >= lookEvery {
		d.keepLook(ev, now)
	}
}

// keepLooks writes all down before the step changes or a verdict falls.
func (d *driver) keepLooks() {
	for _, h := range d.f {
		if ev, ok := d.looks.latest[h.Name]; ok {
			d.keepLook(ev, d.p.Now())
		}
	}
}

func (d *driver) keepLook(ev rollout.Counted, now time.Time) {
	before, known := d.looks.kept[ev.Host]
	look := journal.Look{Canary: journal.Counts{Drawn: ev.Canary.Drawn}, Stable: journal.Counts{Drawn: ev.Stable.Drawn}}
	if known {
		if before.Epoch != ev.Epoch {
			before = rollout.Counted{}
		}
		look = journal.Look{Canary: since(ev.Canary, before.Canary), Stable: since(ev.Stable, before.Stable)}
	}
	d.looks.kept[ev.Host], d.looks.at[ev.Host] = ev, now
	delete(d.looks.latest, ev.Host)
	raw, err := json.Marshal(look)
	if err == nil {
		d.story.add(journal.TypeLook, ev.Host, raw, nil)
	}
}

// since is what was counted after before.
func since(now, before rollout.Counts) journal.Counts {
	c := journal.Counts{
		Requests: now.Requests - before.Requests, Errors: now.Errors - before.Errors, Drawn: now.Drawn,
		Units: now.Units - before.Units, Failed: now.UnitErrors - before.UnitErrors, Share: now.Share - before.Share,
	}
	for i, n := range now.Latency {
		if i < len(before.Latency) {
			n -= before.Latency[i]
		}
		if n != 0 {
			if c.Latency == nil {
				c.Latency = map[int]int64{}
			}
			c.Latency[i] = n
		}
	}
	return c
}

// added puts what was counted on top of the totals.
func added(total rollout.Counts, c journal.Counts) rollout.Counts {
	out := rollout.Counts{
		Requests: total.Requests + c.Requests, Errors: total.Errors + c.Errors, Drawn: c.Drawn,
		Units: total.Units + c.Units, UnitErrors: total.UnitErrors + c.Failed, Share: total.Share + c.Share,
		Latency: make([]int64, release.LatencyBuckets),
	}
	copy(out.Latency, total.Latency)
	for i, n := range c.Latency {
		if i >= 0 && i < len(out.Latency) {
			out.Latency[i] += n
		}
	}
	return out
}
