package report

import (
	"cmp"
	"maps"
	"slices"

	"github.com/go-shipper/shipper/journal"
)

// Run makes one report out of a run's records, as far as they go: a run whose
// controller died has no result, but its hosts tell how they ended.
func Run(records []journal.Record) journal.Report {
	r := runReader{hosts: map[string]journal.ReportHost{}, last: map[string]journal.Judgement{}, batches: map[string]int{}}
	for _, rec := range records {
		r.read(rec)
	}
	r.endStep()
	out := r.out
	for _, name := range out.Hosts {
		if _, ok := r.hosts[name]; !ok {
			r.hosts[name] = journal.ReportHost{Host: name, End: "not touched"}
		}
	}
	for _, h := range r.hosts {
		h.Batch = r.batches[h.Host]
		out.HostEnds = append(out.HostEnds, h)
	}
	slices.SortFunc(out.HostEnds, func(a, b journal.ReportHost) int { return cmp.Compare(a.Host, b.Host) })
	if out.State == "" && slices.ContainsFunc(out.HostEnds, func(h journal.ReportHost) bool { return h.By == "guard" }) {
		out.State = "Lost"
	}
	return out
}

// runReader goes through the records in their order.
type runReader struct {
	out   journal.Report
	step  string
	last  map[string]journal.Judgement // by signal, of the present step
	hosts map[string]journal.ReportHost

	batches map[string]int // by host
}

func (r *runReader) read(rec journal.Record) {
	r.out.Run = cmp.Or(r.out.Run, rec.Run)
	if r.out.Started.IsZero() {
		r.out.Started = rec.Time
	}
	r.out.Ended = rec.Time
	switch rec.Type {
	case journal.TypeRunStarted:
		if r.out.Verb == "" { // one that was taken on opens again
			r.out.RunStarted = decode[journal.RunStarted](rec)
		}
	case journal.TypePush:
		r.out.Pushed = append(r.out.Pushed, journal.ReportBytes{Host: rec.Host, Push: decode[journal.Push](rec)})
	case journal.TypeStep:
		r.endStep()
		d := decode[journal.StepBegan](rec)
		r.out.Steps = append(r.out.Steps, journal.ReportStep{Time: rec.Time, StepBegan: d})
		for _, host := range d.Hosts {
			r.batches[host] = d.Batch
		}
		d.Hosts = nil
		r.step = stepped(d).text
	case journal.TypeMeasurement:
		d := decode[journal.Measurement](rec)
		r.last[d.Signal] = journal.Judgement{
			Time: rec.Time, Signal: d.Signal, Step: r.step, Canary: &d.Canary, Stable: &d.Stable,
			Verdict: journal.Verdict{Outcome: d.Outcome, Signal: d.Signal, Why: evidence(d)},
		}
	case journal.TypeVerdict:
		d := decode[journal.Verdict](rec)
		r.out.Judgements = append(r.out.Judgements, journal.Judgement{Time: rec.Time, Signal: d.Signal, Step: cmp.Or(d.Step, r.step), Verdict: d})
	case journal.TypeResult:
		d := decode[journal.Result](rec)
		r.out.State, r.out.Exit, r.out.Error, r.out.Hint = d.State, d.Exit, d.Error, d.Hint
	default:
		r.host(rec)
		r.said(rec)
	}
}

// endStep keeps what the signals came to in it.
func (r *runReader) endStep() {
	for _, signal := range slices.Sorted(maps.Keys(r.last)) {
		r.out.Judgements = append(r.out.Judgements, r.last[signal])
	}
	clear(r.last)
}

// host notes how it ended there; what came last holds.
func (r *runReader) host(rec journal.Record) {
	switch rec.Type {
	case journal.TypeCommitted:
		d := decode[journal.Committed](rec)
		r.hosts[rec.Host] = journal.ReportHost{Host: rec.Host, End: "committed", Release: d.Release, Slot: d.Slot}
	case journal.TypeUndone:
		d := decode[journal.Undone](rec)
		r.hosts[rec.Host] = journal.ReportHost{Host: rec.Host, End: "undone", Release: d.Release, By: d.By, Why: d.Why, Millis: d.Millis, Autopsy: d.Autopsy}
	}
}

func (r *runReader) said(rec journal.Record) {
	kind, text := "", decode[journal.Note](rec).Text
	switch rec.Type {
	case journal.TypeRequest:
		kind, text = "asked", requested(decode[journal.Request](rec)).text
	case journal.TypeWarning, journal.TypeHook, journal.TypePaused:
		kind = rec.Type
	case journal.TypeSmoke:
		d := decode[journal.Smoke](rec)
		if d.OK {
			return
		}
		kind, text = "smoke", smoked(d).text
	}
	if kind != "" {
		r.out.Said = append(r.out.Said, journal.ReportNote{Time: rec.Time, Kind: kind, Host: rec.Host, Text: clean(text)})
	}
}
