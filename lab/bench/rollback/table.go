//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

func printTable(w io.Writer, results []*result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "incident\tjudged by\tcanary fails\tweight\trequests/s\truns\tgone mean s\tp95 s\tflip p95 ms\tfailed by canary, mean\tlost\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%.0f %%\t%s\t%d\t%d\t%.1f\t%.1f\t%d\t%.1f\t%d\t\n", r.name, r.by(), r.fails*100, r.weight, r.rate,
			len(r.outcomes), r.mean(gone), r.p95(gone), int(r.p95(flip)*1000), r.mean(failures), r.lost())
	}
	t.Flush()
}

func (r *result) by() string {
	if r.judged != nil {
		return "Prometheus, each 60 s, 99 %"
	}
	return "shipper"
}

func gone(o outcome) float64     { return o.gone.Seconds() }
func flip(o outcome) float64     { return o.flip.Seconds() }
func failures(o outcome) float64 { return float64(o.canary) }

func (r *result) mean(of func(outcome) float64) float64 {
	sum := 0.0
	for _, o := range r.outcomes {
		sum += of(o)
	}
	return sum / float64(len(r.outcomes))
}

// p95 is the smallest value that 95 of 100 do not exceed.
func (r *result) p95(of func(outcome) float64) float64 {
	var values []float64
	for _, o := range r.outcomes {
		values = append(values, of(o))
	}
	slices.Sort(values)
	return values[int(math.Ceil(0.95*float64(len(values))))-1]
}

func (r *result) lost() (n int) {
	for _, o := range r.outcomes {
		n += o.lost
	}
	return n
}

// printResult writes the last line, for other programs.
func printResult(w io.Writer, results []*result) error {
	lost := 0
	for _, r := range results {
		lost += r.lost()
	}
	flips, dead, five, flagger := results[0], results[1], results[2], results[3]
	return json.NewEncoder(w).Encode(map[string]any{
		"flip_ms_p95":                    seconds(flips.p95(flip)).Milliseconds(),
		"dead_detect_s":                  round(dead.p95(gone)),
		"dead_runs":                      len(dead.outcomes),
		"five_percent_mean_s":            round(five.mean(gone)),
		"five_percent_runs":              len(five.outcomes),
		"flagger_style_s":                round(flagger.mean(gone)),
		"flagger_style_runs":             len(flagger.outcomes),
		"failed_requests":                lost,
		"failed_by_canary":               round(five.mean(failures)),
		"failed_by_canary_flagger_style": round(flagger.mean(failures)),
	})
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func round(s float64) float64 { return math.Round(s*100) / 100 }
