package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"text/tabwriter"
	"time"
)

func printTable(w io.Writer, cells []*cell) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "work\taccess log\tproxy\tCPU µs/request\tshipper is\trequests/s\tp50 ms\tp99 ms\t")
	for _, work := range works() {
		for _, log := range []bool{false, true} {
			for _, name := range names() {
				if c := find(cells, name, work.name, log); c != nil {
					fmt.Fprintf(t, "%s\t%s\t%s\t%.1f\t%s\t%.0f\t%.2f\t%.2f\t\n", work.unit, onOff(log), name,
						c.median(cpu), times(ratio(cells, name, work.name, log)), c.median(rps), c.median(p50), c.median(p99))
				}
			}
		}
	}
	t.Flush()
}

func cpu(s sample) float64 { return s.cpu }
func rps(s sample) float64 { return s.rps }
func p50(s sample) float64 { return milliseconds(s.p50) }
func p99(s sample) float64 { return milliseconds(s.p99) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (c *cell) median(of func(sample) float64) float64 {
	var values []float64
	for _, s := range c.samples {
		values = append(values, of(s))
	}
	return median(values)
}

func median(values []float64) float64 {
	slices.Sort(values)
	switch n := len(values); {
	case n == 0:
		return 0
	case n%2 == 1:
		return values[n/2]
	default:
		return (values[n/2-1] + values[n/2]) / 2
	}
}

func find(cells []*cell, name, work string, log bool) *cell {
	for _, c := range cells {
		if c.proxy.name == name && c.work.name == work && c.proxy.log == log {
			return c
		}
	}
	return nil
}

// ratio is our CPU per request against that of a peer: the median of what the
// rounds say, because the two samples of one round have seen the same machine.
func ratio(cells []*cell, peer, work string, log bool) float64 {
	ours, theirs := find(cells, "shipper", work, log), find(cells, peer, work, log)
	if ours == nil || theirs == nil || peer == "shipper" {
		return 0
	}
	var ratios []float64
	for i := range min(len(ours.samples), len(theirs.samples)) {
		ratios = append(ratios, ours.samples[i].cpu/theirs.samples[i].cpu)
	}
	return median(ratios)
}

func times(ratio float64) string {
	if ratio == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f ×", ratio)
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// result is the last line, for other programs. What was not measured is null.
type result struct {
	VsCaddy      *float64 `json:"cpu_vs_caddy"`
	VsNginx      *float64 `json:"cpu_vs_nginx"`
	VsHAProxy    *float64 `json:"cpu_vs_haproxy"`
	RPS          *float64 `json:"rps"`
	Switches     *int     `json:"switches"`
	Restarts     *int     `json:"restarts"`
	Upgrades     *int     `json:"upgrades"`
	WineSwitches *int     `json:"wine_switches"`
	Failed       *int     `json:"failed"`
	Cut          *int     `json:"cut"`
}

// printResult takes the ratios from 1 kB without an access log.
func printResult(ctx context.Context, w io.Writer, cells []*cell, o options) error {
	var r result
	if o.zeroLoss != "" {
		if err := zeroLoss(ctx, o.zeroLoss, &r); err != nil {
			return err
		}
	}
	known := func(v float64) *float64 {
		if v == 0 {
			return nil
		}
		return &v
	}
	r.VsCaddy = known(ratio(cells, "caddy", "1k", false))
	r.VsNginx = known(ratio(cells, "nginx", "1k", false))
	r.VsHAProxy = known(ratio(cells, "haproxy", "1k", false))
	if c := find(cells, "shipper", "1k", false); c != nil {
		r.RPS = known(c.median(rps))
	}
	return json.NewEncoder(w).Encode(r)
}

// zeroLoss runs a command that shows its own story and ends with a JSON
// object of the counts.
func zeroLoss(ctx context.Context, command string, r *result) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	last := lines[len(lines)-1]
	for _, line := range lines[:len(lines)-1] {
		fmt.Printf("%s\n", line)
	}
	if err != nil {
		return fmt.Errorf("zero-loss run: %w\n%s", err, last)
	}
	if err := json.Unmarshal(last, r); err != nil {
		return fmt.Errorf("zero-loss run: its last line %q: %w", last, err)
	}
	return nil
}
