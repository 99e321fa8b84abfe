package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/rollout/analysis"
)

const (
	// usualErrors is assumed of a stable that has answered too few requests to tell.
	usualErrors = 0.001
	tellsErrors = 1000
)

// badReleases are the ones a forecast tells about: share of requests that fail.
var badReleases = [...]float64{1, 0.5, 0.05}

// forecast tells what bad releases would cost with the traffic that there is,
// and whether a good one gets through the steps.
func (d *deployment) forecast(ctx context.Context, by Expect) (*journal.Forecast, error) {
	out := &journal.Forecast{}
	at := slices.IndexFunc(signals(d.p.Target.Analysis), func(s rollout.Signal) bool { return s.Kind == analysis.Evidence && !s.DryRun })
	switch {
	case d.p.Target.Traffic.Router == "none":
		out.Note = "no router counts the traffic: hard rules and the signals that ask outside judge the release"
		return out, nil
	case at < 0:
		out.Note = "no `evidence` signal judges the release: how soon limits find a bad one depends on them"
		return out, nil
	}
	before, err := d.p.statuses(ctx, d.f)
	if err != nil {
		return nil, err
	}
	flow, err := d.flow(ctx, by, before, out)
	if err != nil || out.Note != "" {
		return out, err
	}
	pl := d.steps(before)
	steps, err := pl.Exposures()
	if err != nil {
		return nil, planProblem(err)
	}
	signal := pl.Signals[at]
	signal.MinRequests = max(signal.MinRequests, d.p.Target.Analysis.MinRequests)
	out.Alpha = signal.Alpha
	for _, x := range steps {
		t := rollout.Traffic{Hosts: len(x.Hosts), Weight: x.Weight, Failed: out.Errors}
		for _, h := range x.Hosts {
			t.Rate += flow[h]
		}
		out.Steps = append(out.Steps, d.expect(signal, t, x))
	}
	if len(steps) == 0 {
		out.Note = "no step waits while the release has some of the traffic"
	}
	return out, nil
}

// steps is the plan that a deploy would take now.
func (d *deployment) steps(before map[string]rpc.ServiceStatus) rollout.Plan {
	first := map[string]bool{}
	for name, st := range before {
		first[name] = st.Stable == ""
	}
	pl := plan(d.p.Target, first)
	if d.req.Hotfix {
		hotfix(&pl, d.p.Target.Rollout)
	}
	return pl
}

// flow is the requests a second on each host that has a stable release, and
// how many of them fail.
func (d *deployment) flow(ctx context.Context, by Expect, before map[string]rpc.ServiceStatus, out *journal.Forecast) (map[string]float64, error) {
	var f fleet
	for _, h := range d.f {
		if before[h.Name].Stable != "" {
			f = append(f, h)
		}
	}
	if len(f) == 0 {
		out.Note = "a first deploy has nothing to be compared with: no steps, smoke checks and hard rules only"
		return nil, nil
	}
	early := d.p.countAll(ctx, f)
	out.Errors, out.Assumed = stableErrors(early, before)
	flow := map[string]float64{}
	if by.Rate > 0 {
		out.Rate = by.Rate
		for _, h := range f {
			flow[h.Name] = by.Rate / float64(len(f))
		}
		return flow, nil
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(by.Count):
	}
	out.Seconds = by.Count.Seconds()
	late := d.p.countAll(ctx, f)
	for _, h := range f {
		rate, told := rateOf(early[h.Name], late[h.Name])
		if flow[h.Name] = rate; !told {
			out.Silent = append(out.Silent, h.Name)
		}
		out.Rate += rate
	}
	if out.Rate == 0 {
		out.Note = fmt.Sprintf("no request came in %s: nothing can be expected; `--rate N` tells for N requests a second", by.Count)
	}
	return flow, nil
}

// countAll asks all hosts for their counters; one that has none says nothing.
func (p *Pipeline) countAll(ctx context.Context, f fleet) map[string]rpc.Counters {
	var mu sync.Mutex
	out := map[string]rpc.Counters{}
	_ = f.each(ctx, func(ctx context.Context, h *host) error {
		return h.call(ctx, 0, func(c *rpc.Client) error {
			got, err := c.Counters(ctx, rpc.ServiceRef{Service: p.Target.Service.Name})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				out[h.Name] = got
			}
			return err
		})
	})
	return out
}

// rateOf is the requests a second between two looks at a host.
func rateOf(early, late rpc.Counters) (rate float64, told bool) {
	took := late.At.Sub(early.At).Seconds()
	if early.Epoch == "" || early.Epoch != late.Epoch || took <= 0 {
		return 0, false
	}
	var n int64
	for slot, c := range late.Slots {
		n += c.Requests - early.Slots[slot].Requests
	}
	return max(0, float64(n)/took), true
}

// stableErrors is the share of requests that stable failed on all hosts, since
// their routers count.
func stableErrors(all map[string]rpc.Counters, before map[string]rpc.ServiceStatus) (share float64, assumed bool) {
	var n, failed int64
	for name, c := range all {
		stable := c.Slots[before[name].Stable]
		n += stable.Requests - stable.Canceled
		failed += stable.Errors()
	}
	if n < tellsErrors {
		return usualErrors, true
	}
	return float64(failed) / float64(n), false
}

// expect tells about one step.
func (d *deployment) expect(s rollout.Signal, t rollout.Traffic, x rollout.Exposure) journal.ForecastStep {
	out := journal.ForecastStep{Batch: x.Batch, Step: x.Step, Hosts: len(x.Hosts), Weight: x.Weight}
	detect := func(bad float64) (time.Duration, bool) { return s.Detect(t, bad) }
	if s.StartingStep > x.Reached {
		out.CountsFrom, detect = s.StartingStep+1, t.Dead
	}
	for _, bad := range badReleases {
		c := journal.ForecastCase{Errors: bad}
		if after, found := detect(bad); found {
			c.Seconds = after.Seconds()
			c.Failed = after.Seconds() * t.Rate * bad * float64(x.Weight) / float64(release.Full)
		}
		out.Cases = append(out.Cases, c)
	}
	if out.CountsFrom > 0 {
		return out
	}
	proof, shown := s.Prove(t)
	out.ProofSeconds = proof.Seconds()
	if x.Judged {
		out.WaitSeconds = x.For.Seconds()
		out.Thin = d.thin(s, t, x, proof, shown)
	}
	return out
}

// thin says why a good release would not get through a step, and what helps.
func (d *deployment) thin(s rollout.Signal, t rollout.Traffic, x rollout.Exposure, proof time.Duration, shown bool) string {
	then := map[string]string{
		rollout.OnInsufficientPause: "then the run is paused", rollout.OnInsufficientFail: "then the run goes back",
		rollout.OnInsufficientExtend: "then the run fails", rollout.OnInsufficientPromote: "then it goes on without evidence",
	}[d.p.Target.Analysis.OnInsufficientData]
	switch {
	case !shown && t.Rate > 0 && t.Failed >= s.MaxRatio:
		return fmt.Sprintf("stable itself fails %.2g %%: a release as good as that never shows that it fails less than %.2g %%, %s; a higher `maxErrors` helps",
			t.Failed*100, s.MaxRatio*100, then)
	case shown && proof <= x.For:
		return ""
	case !shown:
		return "too little traffic for any proof, " + then
	}
	var help []string
	if w := float64(x.Weight) * float64(proof) / float64(x.For); w <= float64(release.Full)/2 {
		help = append(help, fmt.Sprintf("a weight of %.0f %%", math.Ceil(w/100)))
	}
	more := (proof - x.For + d.p.Target.Analysis.MaxWait).Round(time.Minute) + time.Minute
	help = append(help, fmt.Sprintf("`analysis.maxWait: %s`", strings.TrimSuffix(more.String(), "0s")))
	return fmt.Sprintf("too little traffic: the step waits %s at most, %s; %s would do", x.For, then, strings.Join(help, " or "))
}
