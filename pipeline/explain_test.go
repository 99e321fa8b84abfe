package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/report"
	"github.com/go-shipper/shipper/rollout"
)

// reader is a run of one host, told to all who read it, up to its first verdict.
type reader struct {
	d   *driver
	now time.Time
}

// firstVerdict steps a run whose commands all succeed, and whose host counts
// look every second; answer is what sources outside say.
func firstVerdict(t *testing.T, p rollout.Plan, look func(n int64) rollout.Counted, answer rollout.Measured) []journal.Record {
	t.Helper()
	e, err := rollout.New(p)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{now: time.Unix(1_700_000_000, 0)}
	clock := func() time.Time { return r.now }
	r.d = &driver{p: &Pipeline{Now: clock}, story: newStory("r1", clock, nil), looks: newLooks()}
	r.feed(e, rollout.Begin{}, answer)
	for n := int64(0); n < 100; n++ {
		records := r.d.story.after(0)
		if at := slices.IndexFunc(records, func(r journal.Record) bool { return r.Type == journal.TypeVerdict }); at >= 0 {
			return records[:at+1]
		}
		r.now = r.now.Add(time.Second)
		c := look(n)
		if c.Host != "" {
			r.feed(e, c, answer)
		}
		r.feed(e, rollout.Tick{}, answer)
	}
	t.Fatal("no verdict")
	return nil
}

func (r *reader) feed(e *rollout.Engine, ev rollout.Event, answer rollout.Measured) {
	queue := []rollout.Event{ev}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, c := range e.Step(r.now, queue[0]) {
			switch c.Verb {
			case rollout.Note:
				r.d.tellNote(c.Note)
				if _, over := c.Note.(rollout.VerdictNote); over {
					return
				}
			case rollout.Measure:
				answer.Signal, answer.Seq = c.Signal, c.Seq
				queue = append(queue, answer)
			case rollout.Start, rollout.Smoke, rollout.Shift, rollout.Prepare, rollout.Commit, rollout.Undo:
				queue = append(queue, rollout.Done{Command: c})
			}
		}
	}
}

// TestEveryVerdictExplainsItself: whatever judges a release, its verdict tells
// what was seen, the rule, where and when, to everybody who reads the run:
// terminal, JSON, job summary, and the records that hosts keep.
func TestEveryVerdictExplainsItself(t *testing.T) {
	up := rollout.Instance{State: "running", PID: 7, Started: time.Unix(1, 0)}
	counts := func(n, canary, failed, stable int64) rollout.Counted {
		return rollout.Counted{Host: "web1", Epoch: "1", Live: up, Canary: rollout.Counts{Requests: n * canary, Errors: n * failed}, Stable: rollout.Counts{Requests: n * stable}}
	}
	good := func(n int64) rollout.Counted { return counts(n, 50, 0, 950) }
	with := func(change func(n int64, c *rollout.Counted)) func(int64) rollout.Counted {
		return func(n int64) rollout.Counted {
			c := good(n)
			change(n, &c)
			return c
		}
	}
	slow := func(n int64, c *rollout.Counted) {
		c.Canary.Latency, c.Stable.Latency = make([]int64, release.LatencyBuckets), make([]int64, release.LatencyBuckets)
		c.Canary.Latency[release.LatencyBucket(900*time.Millisecond)] = n * 50
		c.Stable.Latency[release.LatencyBucket(20*time.Millisecond)] = n * 950
	}
	evidence := rollout.Signal{Name: "evidence", Kind: "evidence", Alpha: 0.001}
	limit := rollout.Signal{Name: "errors", Kind: "errors", MaxRatio: 0.02}
	asked := rollout.Signal{Name: "p99", Kind: "asked", Failure: "> 5", Interval: time.Second}
	tests := []struct {
		name    string
		outcome string
		signal  rollout.Signal
		limits  rollout.Limits
		look    func(n int64) rollout.Counted
		answer  rollout.Measured
		want    []string
	}{
		{name: "errors above a limit", outcome: "Failed", signal: limit, look: func(n int64) rollout.Counted { return counts(n, 50, 10, 950) },
			want: []string{"errors canary 20 % (10/50) vs stable 0 % (0/950)", "limit 2 %", "at step 1/2, 2 s after first traffic"}},
		{name: "latency above a limit", outcome: "Failed", signal: rollout.Signal{Name: "latency", Kind: "latency", Percentile: 0.99, MaxLatency: 250 * time.Millisecond}, look: with(slow),
			want: []string{"latency p99 canary ", "(50) vs stable ", "(950)", "limit 250 ms (50 above 250 ms, 1 % allowed)", "step 1/2"}},
		{name: "evidence", outcome: "Failed", signal: evidence, look: func(n int64) rollout.Counted { return counts(n, 50, 10, 950) },
			want: []string{"errors canary 20 % (10/50) vs stable 0 % (0/950)", "that the canary is worse, abort at 1000:1", "step 1/2", "after first traffic"}},
		{name: "evidence that it is good", outcome: "Successful", signal: evidence, look: good,
			want: []string{"errors canary 0 % (0/", "vs stable 0 % (0/", "that less than 1 % fails, enough at 20:1", "step 1/2", "canary requests"}},
		{name: "dead", outcome: "Failed", signal: evidence, look: func(n int64) rollout.Counted { return counts(n, 50, 50, 950) },
			want: []string{"the last 50 canary requests all failed, stable 0 % (0/950) meanwhile, limit 20 in a row", "step 1/2"}},
		{name: "stopped", outcome: "Failed", signal: evidence, look: with(func(_ int64, c *rollout.Counted) { c.Live = rollout.Instance{State: "stopped", Exit: 3} }),
			want: []string{"web1: canary is stopped, must be running, exit code 3", "step 1/2"}},
		{name: "paused", outcome: "Failed", signal: evidence, look: with(func(_ int64, c *rollout.Counted) { c.Live.State = "paused" }),
			want: []string{"web1: canary is paused, must be running", "step 1/2"}},
		{name: "restarted", outcome: "Failed", signal: evidence, look: with(func(n int64, c *rollout.Counted) { c.Live.PID += uint32(n) }),
			want: []string{"web1: canary restarted: process 7 is now 8", "step 1/2"}},
		{name: "unhealthy", outcome: "Failed", signal: evidence, look: with(func(_ int64, c *rollout.Counted) { c.Canary, c.Canary.Out = rollout.Counts{}, "3 checks failed" }),
			want: []string{"web1: canary is unhealthy for 10 looks, stable is not: 3 checks failed", "step 1/2"}},
		{name: "too much memory", outcome: "Failed", signal: rollout.Signal{Name: "evidence", Kind: "evidence", MinRequests: 1e9}, limits: rollout.Limits{Memory: 1 << 20},
			look: with(func(_ int64, c *rollout.Counted) { c.Usage = &rollout.Usage{Memory: 3 << 20} }),
			want: []string{"web1: canary's working set is 3 MB, limit 1 MB", "step 1/2"}},
		{name: "limits that nobody can hold", outcome: "Inconclusive", signal: evidence, limits: rollout.Limits{Memory: 1 << 20}, look: good,
			want: []string{"not enough evidence after 1m", "web1 does not tell what its canary uses", "step 1/2"}},
		{name: "asked", outcome: "Failed", signal: asked, look: good, answer: rollout.Measured{Value: rollout.Value{Number: 7}},
			want: []string{"p99 7, fails where > 5", "step 1/2"}},
		{name: "asked, no answer", outcome: "Inconclusive", signal: asked, look: good, answer: rollout.Measured{Err: errors.New("connection refused")},
			want: []string{"not enough evidence after 1m", "p99 connection refused", "step 1/2"}},
		{name: "too few requests", outcome: "Inconclusive", signal: evidence, look: func(n int64) rollout.Counted { return counts(min(n, 1), 5, 0, 95) },
			want: []string{"not enough evidence after 1m", "errors canary 0 % (0/5) vs stable 0 % (0/95)", "(canary has 5 of 50 requests needed)", "step 1/2"}},
		{name: "other shares than drawn", outcome: "Inconclusive", signal: evidence, look: func(n int64) rollout.Counted { return counts(n, 500, 0, 500) },
			want: []string{"sample ratio mismatch: canary got 50 % (", "its weight is 5%", "step 1/2"}},
		{name: "counters that stop", outcome: "Inconclusive", signal: evidence, look: func(n int64) rollout.Counted {
			if n > 2 {
				return rollout.Counted{}
			}
			return good(n)
		}, want: []string{"not enough evidence after 1m", "no counters from web1 for ", "step 1/2"}},
	}
	five := release.Weight(500)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plan := rollout.Plan{
				Strategy: rollout.Canary, Batches: [][]string{{"web1"}}, Steps: []rollout.Step{{SetWeight: &five}, {Analysis: true}}, LaterSteps: []rollout.Step{},
				Signals: []rollout.Signal{tt.signal}, Limits: tt.limits, SettleTime: time.Minute,
			}
			records := firstVerdict(t, plan, tt.look, tt.answer)
			var v journal.Verdict
			if err := decode(records[len(records)-1], &v); err != nil || v.Outcome != tt.outcome {
				t.Fatalf("%+v, %v, want %s", v, err, tt.outcome)
			}
			for channel, text := range channels(records) {
				for _, want := range tt.want {
					want = strings.ReplaceAll(want, "step 1/2", "step 2/3")
					if !strings.Contains(text, want) {
						t.Errorf("%s lacks %q:\n%s", channel, want, text)
					}
				}
			}
		})
	}
}

// channels is what each reader makes of the last record, a verdict.
func channels(records []journal.Record) map[string]string {
	last := records[len(records)-1]
	var terminal, lines bytes.Buffer
	report.Terminal(&terminal, report.Options{Width: 1000})(last)
	report.JSON(&lines)(last)
	var line struct{ Data journal.Verdict }
	_ = json.Unmarshal(lines.Bytes(), &line) // an empty verdict explains nothing
	summary := report.Summary([]journal.Record{last})
	kept, _ := json.Marshal(last)
	var again journal.Record
	var v journal.Verdict
	_ = json.Unmarshal(kept, &again)
	_ = decode(again, &v)
	return map[string]string{
		"terminal": terminal.String(), "JSON": line.Data.Why + ", " + line.Data.Step + ", " + line.Data.Evidence,
		"job summary": strings.ReplaceAll(summary, "&gt;", ">"), "journal": v.Why + ", " + v.Step + ", " + v.Evidence,
	}
}
