// Package demo tells shipper's story on a lab: a first release to two Windows
// hosts, a good one by canary under load, and a bad one that is taken back by
// itself. It believes only what the load generator and the hosts say.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/examples/load"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/project"
)

// Options of a demo.
type Options struct {
	Shipper string               // the program
	Keep    bool                 // leave the hosts running, as lab "demo"
	Out     io.Writer            // the story
	Show    func(journal.Record) // each record of the runs, as it comes
}

const (
	hosts = 2
	rate  = 250 // requests per second over both hosts
	// lateAfter is how long after the verdict the bad version may still answer.
	lateAfter = 500 * time.Millisecond
)

// bad is what version 3 gets wrong: each second order fails, but only after
// the first twenty, so that smoke checks see nothing.
const bad = "ORDERS_FAIL_RATIO=0.5,ORDERS_FAIL_AFTER=20"

// Run plays the demo; an error says what did not happen as it should.
func Run(ctx context.Context, o Options) error {
	name := "demo"
	if !o.Keep { // so that a second demo can run beside this one
		name = fmt.Sprintf("demo-%d", os.Getpid())
	}
	dir, err := os.MkdirTemp("", "shipper-demo-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	d := &demo{o: o}
	d.say("Two Windows hosts under Wine")
	began := time.Now()
	l, err := lab.Up(ctx, lab.Options{
		Name: name, Hosts: hosts, Daemon: []string{o.Shipper}, Temporary: !o.Keep, Log: func(s string) { d.say("  %s", s) },
	})
	if err != nil {
		return fmt.Errorf("start the lab: %w", err)
	}
	if !o.Keep {
		defer func() { _ = l.Down(context.WithoutCancel(ctx)) }() // its watcher clears what is left
	}
	d.say("  up after %.1f s\n", time.Since(began).Seconds())
	d.p, err = project.New(ctx, project.Options{Dir: filepath.Clean(dir), Shipper: o.Shipper, Hosts: l.Hosts()})
	if err != nil {
		return fmt.Errorf("write the example's repository: %w", err)
	}
	return d.play(ctx)
}

type demo struct {
	o Options
	p *project.Project
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.o.Out, format+"\n", args...) }

func (d *demo) play(ctx context.Context) error {
	if _, err := d.release(ctx, "1.0.0", "", "the first release, to empty hosts", 0); err != nil {
		return err
	}
	d.say("A load generator sends %d requests per second to the hosts from now on.\n", rate)
	loading, stop := context.WithCancel(ctx)
	defer stop()
	g := load.Start(loading, load.Options{
		URLs: d.p.URLs(), Rate: rate, Posts: 0.1, Body: `{"item":"tea","quantity":1}`, KeepAlive: 48, Short: 16,
	})
	if _, err := d.release(ctx, "2.0.0", "", "a good release, by canary", 0); err != nil {
		return err
	}
	good := g.Report()
	if err := noneFailed(good); err != nil {
		return err
	}
	d.say("%s", good)
	run, err := d.release(ctx, "3.0.0", bad, "a bad release: it passes its smoke checks and goes wrong under traffic", 3)
	if err != nil {
		return err
	}
	if err := d.settle(ctx, g); err != nil {
		return err
	}
	stop()
	report := *g.Wait()
	d.say("%s", report)
	return d.judge(ctx, run, report)
}

// release commits a version and deploys it; wantExit is the exit code that
// belongs to the story.
func (d *demo) release(ctx context.Context, version, faults, what string, wantExit int) (*project.Process, error) {
	d.say("Version %s: %s", version, what)
	if err := d.p.Version(ctx, version, faults); err != nil {
		return nil, err
	}
	began := time.Now()
	run, err := d.p.Run(ctx, d.o.Show, "deploy")
	if err != nil {
		return nil, fmt.Errorf("deploy %s: %w", version, err)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if run.Exit() != wantExit {
		return nil, fmt.Errorf("deploy %s: exit code %d, want %d\n%s", version, run.Exit(), wantExit, run.Stderr())
	}
	var files, sent, wire int64
	for _, r := range run.Records() {
		if _, p, ok := project.Find[journal.Push]([]journal.Record{r}, journal.TypePush, nil); ok {
			files, sent, wire = files+p.Bytes, sent+int64(p.Sent), wire+p.Wire
		}
	}
	d.say("  %s after %.1f s; release %.1f MB on %d hosts, %.1f MB travelled in %d files\n",
		run.Result().State, time.Since(began).Seconds(), float64(files)/hosts/1e6, hosts, float64(wire)/1e6, sent)
	return run, nil
}

func noneFailed(r load.Report) error {
	if failed := r.Failed(); failed.Failed > 0 {
		return fmt.Errorf("from version 1 to 2 %d of %d requests failed: %s\n%s", failed.Failed, r.Sent(), failed.Example, r)
	}
	if r.Of("2.0.0").OK == 0 || r.Of("1.0.0").OK == 0 {
		return errors.New("the load generator did not see both versions")
	}
	return nil
}

// settle waits until stable has answered a second's worth of requests more.
func (d *demo) settle(ctx context.Context, g *load.Generator) error {
	seen := g.Report().Of("2.0.0").OK
	return g.Until(ctx, func(r load.Report) bool { return r.Of("2.0.0").OK > seen+rate })
}
