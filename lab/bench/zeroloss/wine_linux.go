package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/project"
)

// wineRate is what Wine's service of sockets carries beside everything else.
const wineRate = 300

// windows is a service on a Windows host of the lab, shipped by the program
// itself.
type windows struct {
	lab      *lab.Lab
	p        *project.Project
	versions versions
}

// runWine deploys versions and rolls back, and lets the other router take over
// each time, while the load goes on.
func runWine(ctx context.Context, o options) (out outcome, err error) {
	out.name = "shipper on Wine"
	w, end, err := newWindows(ctx, o.download)
	defer end()
	if err != nil {
		return out, err
	}
	if err := w.deploy(ctx, "1.0.0"); err != nil {
		return out, err
	}
	o.rate = min(o.rate, wineRate)
	g, stop := startLoad(ctx, fmt.Sprintf("%s:%d", w.lab.Hosts()[0].Address, w.p.Port()), o)
	defer stop()
	began := time.Now()
	for round := range o.wine {
		if round > 0 && round%max(1, o.wine/(o.upgrades+1)) == 0 && out.upgrades < o.upgrades {
			if err := w.upgrade(ctx, round); err != nil {
				return out, err
			}
			out.upgrades++
		}
		if err := w.change(ctx, round, &out); err != nil {
			return out, fmt.Errorf("round %d: %w", round+1, err)
		}
		progress(out.name, round+1, o.wine)
	}
	out.took = time.Since(began)
	stop()
	out.report = *g.Wait()
	return out, nil
}

func newWindows(ctx context.Context, download int64) (w *windows, end func(), err error) {
	dir, err := os.MkdirTemp("", "zeroloss-wine-")
	if err != nil {
		return nil, func() {}, err
	}
	w = &windows{versions: versions{dir: filepath.Join(dir, "clone")}}
	end = func() {
		if w.lab != nil {
			_ = w.lab.Down(context.WithoutCancel(ctx)) // it is temporary in any case
		}
		os.RemoveAll(dir)
	}
	shipper := filepath.Join(dir, "shipper")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", shipper, "github.com/go-shipper/shipper/cmd/shipper").CombinedOutput(); err != nil {
		return w, end, fmt.Errorf("build shipper: %w: %s", err, out)
	}
	w.lab, err = lab.Up(ctx, lab.Options{Name: fmt.Sprintf("zero-%d", os.Getpid()), Daemon: []string{shipper}, Temporary: true})
	if err != nil {
		return w, end, err
	}
	if err := os.Mkdir(filepath.Join(dir, "project"), 0o700); err != nil {
		return w, end, err
	}
	w.p, err = project.New(ctx, project.Options{
		Dir: filepath.Join(dir, "project"), Shipper: shipper, Hosts: w.lab.Hosts(), Port: 8100, Service: "zeroloss",
		Sources: func(dir string) error { return writeProgram(dir, download) },
		Config: project.Config{
			Mode: "console", Service: "  stopSignal: kill\n", Steps: "[{setWeight: 50}]", Bake: "0s", Drain: "60s", Traffic: ", tunnelGrace: 1s",
		},
	})
	return w, end, err
}

func (w *windows) deploy(ctx context.Context, version string) error {
	if err := w.p.Version(ctx, version, ""); err != nil {
		return err
	}
	return w.shipper(ctx, "deploy")
}

func (w *windows) shipper(ctx context.Context, args ...string) error {
	run, err := w.p.Run(ctx, nil, args...)
	if err == nil && run.Exit() != 0 {
		err = fmt.Errorf("exit code %d\n%s", run.Exit(), run.Stderr())
	}
	if err != nil {
		return fmt.Errorf("shipper %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// change deploys, or in every third round rolls back.
func (w *windows) change(ctx context.Context, round int, out *outcome) error {
	var err error
	if os.Getenv("ONLY_RESTARTS") != "" {
		out.restarts++
		return w.restartRouter(ctx)
	}
	if round%3 == 2 {
		err = w.shipper(ctx, "rollback")
	} else {
		err = w.deploy(ctx, fmt.Sprintf("1.%d.0", round+1))
	}
	out.switches++
	out.restarts++
	return errors.Join(err, w.restartRouter(ctx))
}

// upgrade gets a newer shipper, whose next deploy upgrades the router.
func (w *windows) upgrade(ctx context.Context, round int) error {
	program, err := w.versions.next(ctx)
	if err != nil {
		return fmt.Errorf("build a newer shipper: %w", err)
	}
	w.p.Use(program)
	before, err := w.router(ctx, "status")
	if err != nil {
		return err
	}
	if err := w.deploy(ctx, fmt.Sprintf("1.%d.1", round)); err != nil {
		return err
	}
	after, err := w.router(ctx, "status")
	if err == nil && before == after {
		err = fmt.Errorf("the router was not upgraded: %s", after)
	}
	return err
}

func (w *windows) restartRouter(ctx context.Context) error {
	_, err := w.router(ctx, "restart")
	return err
}

// router is what the host's operator does with it.
func (w *windows) router(ctx context.Context, verb string) (string, error) {
	var said strings.Builder
	line := `"C:\Program Files\shipper\bin\shipper-host.exe" router ` + verb
	exit, err := w.lab.Exec(ctx, w.lab.Hosts()[0].Name, line, nil, &said, &said)
	if err == nil && exit != 0 {
		err = fmt.Errorf("exit code %d: %s", exit, said.String())
	}
	if err != nil {
		return "", fmt.Errorf("router %s: %w", verb, err)
	}
	return said.String(), nil
}
