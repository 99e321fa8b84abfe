// Command zeroloss counts what users lose while the router changes: it keeps
// up a load of short and kept connections, uploads, WebSockets and a large
// download, and meanwhile switches slots, promotes, rolls back, restarts and
// upgrades the router, round after round. nginx and Caddy get the same load
// and change their configuration as their manuals tell. It prints a table and
// one JSON object as the last line, and fails if our own router lost anything.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/go-shipper/shipper/examples/load"
)

type options struct {
	rounds   int
	rate     float64
	download int64 // bytes
	peers    bool
	wine     int // rounds on a Wine host
	upgrades int // of the router, among them
}

// outcome is what became of one proxy's load.
type outcome struct {
	name                         string
	switches, restarts, upgrades int
	took                         time.Duration
	report                       load.Report
}

func (o outcome) rate() float64 { return float64(o.report.Sent()) / o.took.Seconds() }

func (o outcome) cut() int64 { return o.report.Losses[load.Cut].Failed }

func (o outcome) failed() int64 { return o.report.Failed().Failed - o.cut() }

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 100, "changes; every one also restarts or upgrades the router")
	flag.Float64Var(&o.rate, "rate", 2500, "requests per second")
	flag.Int64Var(&o.download, "download", 100<<20, "bytes of the download")
	flag.BoolVar(&o.peers, "peers", true, "nginx and Caddy too, if they are installed")
	flag.IntVar(&o.wine, "wine", 0, "rounds on a Windows host of the lab")
	flag.IntVar(&o.upgrades, "wine-upgrades", 3, "upgrades of the router there; each builds a newer shipper")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	lost, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	if err != nil || lost {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (lost bool, err error) {
	dir, err := os.MkdirTemp("", "zeroloss-")
	if err != nil {
		return false, err
	}
	if os.Getenv("KEEP") == "" {
		defer os.RemoveAll(dir)
	}
	own, err := runOwn(ctx, dir, o)
	if err != nil {
		return false, fmt.Errorf("shipper: %w", err)
	}
	all := []outcome{own}
	if o.peers {
		peers, err := runPeers(ctx, dir, o)
		if err != nil {
			return false, err
		}
		all = append(all, peers...)
	}
	var wine outcome
	if o.wine > 0 {
		if wine, err = runWine(ctx, o); err != nil {
			print(all)
			return false, fmt.Errorf("load on Wine: %w", err)
		}
		all = append(all, wine)
	}
	print(all)
	return own.failed()+own.cut()+wine.failed()+wine.cut() > 0, printResult(own, wine)
}

func print(all []outcome) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "proxy\tchanges\trestarts\tupgrades\trequests\trequests/s\tsockets reopened\tfailed\tcut\tslowest ms\t")
	for _, o := range all {
		sum := o.report.Sum(nil)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%.0f\t%d\t%d\t%d\t%d\t\n", o.name, o.switches, o.restarts, o.upgrades,
			o.report.Sent(), o.rate(), o.report.Reopened, o.failed(), o.cut(), sum.Slowest.Milliseconds())
	}
	w.Flush()
	for _, o := range all {
		if example := o.report.Failed().Example; example != "" {
			fmt.Printf("%s lost for example: %s\n", o.name, example)
		}
	}
}

func printResult(own, wine outcome) error {
	return json.NewEncoder(os.Stdout).Encode(struct {
		Switches     int   `json:"switches"`
		Restarts     int   `json:"restarts"`
		Upgrades     int   `json:"upgrades"`
		WineSwitches int   `json:"wine_switches"`
		Failed       int64 `json:"failed"`
		Cut          int64 `json:"cut"`
	}{own.switches, own.restarts, own.upgrades, wine.switches, own.failed() + wine.failed(), own.cut() + wine.cut()})
}
