package simulate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
)

const (
	service = "orders"
	lease   = 10 * time.Second
	first   = "1.0.0"
	next    = "1.1.0"
	third   = "1.2.0"
)

// world is everything that one seed makes.
type world struct {
	seed    uint64
	dir     string
	bundles map[string]string
	rng     *rand.Rand // of the plan; what happens later has sources of its own
	plan    scenario
	hosts   []*machine
	began   time.Time
	logTo   io.Writer

	mu      sync.Mutex
	story   []string
	broken  error
	all     []*controller
	served  int
	failed  []string
	stopped bool
}

func newWorld(seed uint64, dir string, bundles map[string]string) (*world, error) {
	w := &world{seed: seed, dir: dir, bundles: bundles, rng: rand.New(rand.NewPCG(seed, 0)), began: time.Now()}
	w.plan = newScenario(w.rng)
	for i := range w.plan.hosts {
		h, err := newMachine(w, fmt.Sprintf("web%d", i+1))
		if err != nil {
			return nil, err
		}
		w.hosts = append(w.hosts, h)
	}
	return w, nil
}

// breaks remembers the first promise that was broken.
func (w *world) breaks(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	w.event("BROKEN %v", err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = err
	}
}

func (w *world) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

func (w *world) event(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.story = append(w.story, fmt.Sprintf("%9.4f ", time.Since(w.began).Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.story, "\n")
}

// after does something later, unless the world ended before.
func (w *world) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		w.mu.Lock()
		over := w.stopped
		w.mu.Unlock()
		if !over {
			f()
		}
	})
}

func (w *world) log(name string) *slog.Logger {
	if w.logTo == nil {
		return quiet()
	}
	return slog.New(slog.NewTextHandler(w.logTo, &slog.HandlerOptions{Level: slog.LevelInfo})).With("host", name)
}

// target is what shipper.yaml would say.
func (w *world) target() config.Target {
	percent := func(p int) *release.Weight { v := release.Weight(p * 100); return &v }
	pause := 4 * time.Second
	t := config.Target{
		Path: "shipper.yaml", Environment: "sim",
		Service: config.Service{
			Name: service, Mode: "native", StopTimeout: 5 * time.Second, StartTimeout: 8 * time.Second,
			Recovery: []time.Duration{time.Second, 2 * time.Second},
			Ports:    config.Ports{Blue: 8101, Green: 8102},
		},
		Checks:    []config.Check{{HTTP: "/healthz", Interval: 500 * time.Millisecond, Timeout: time.Second, Successes: 2, Deadline: 4 * time.Second}},
		Transport: config.Transport{Type: "local"},
		Rollout: config.Rollout{
			Strategy: "canary", KeepWarm: 20 * time.Second, ParkFor: time.Hour, ProgressDeadline: 2 * time.Minute,
			Steps: []config.Step{{SetWeight: percent(20)}, {Pause: &pause}, {SetWeight: percent(50)}, {Analysis: true}},
		},
		Rollback:  config.Rollback{Auto: true, Scope: "fleet", Lease: lease},
		Retention: config.Retention{Releases: 5},
		Traffic:   config.Traffic{Router: "embedded", Listen: public, DrainTimeout: 2 * time.Second, Boot: "refuse"},
		Analysis: config.Analysis{MinRequests: 5, MaxWait: 20 * time.Second, OnInsufficientData: "fail", Signals: []config.Signal{
			{Name: "errors", Errors: &config.ErrorLimit{Max: 0.2, Above: 0.01}, Interval: time.Second, MinRequests: 5},
		}},
	}
	for _, h := range w.hosts {
		t.Hosts = append(t.Hosts, config.Host{Name: h.name, Address: h.name})
	}
	if w.plan.batches && len(w.hosts) > 1 {
		t.Rollout.Strategy = "rolling"
		t.Rollout.MaxUnavailable = config.Amount{N: 1}
	}
	return t
}

// bundles packs every version once, for all seeds.
func packAll(dir string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range []string{first, next, third, deaf, sick, crashes, errs} {
		out[v] = filepath.Join(dir, v+".zip")
		if err := pack(out[v], v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pack(path, version string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	data := map[string]string{"orders": program(version), "version.txt": version}
	var files []release.File
	for _, name := range []string{"orders", "version.txt"} {
		b := []byte(data[name])
		files = append(files, release.File{Path: name, Size: int64(len(b)), SHA256: release.Of(b)})
	}
	m := packaging.Manifest{
		Protocol: packaging.Protocol, Name: service, Version: version, Builder: "prebuilt", Time: time.Unix(1, 0).UTC(),
		Targets: []packaging.TargetManifest{{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Executable: "orders", Files: files}},
	}
	_, err = packaging.WriteBundle(f, m, func(_ packaging.TargetManifest, f release.File) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(data[f.Path]))), nil
	})
	return errors.Join(err, f.Close())
}

// live is the whole life of the world; it runs inside a bubble.
func (w *world) live() {
	defer w.end()
	for _, h := range w.hosts {
		h.start()
	}
	c := w.controller("setup")
	c.deploy(first)
	c.wait()
	if c.state() != "Promoted" {
		w.breaks("the first deploy ended %s: %v", c.state(), c.err)
		return
	}
	stop, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { w.watch(stop) })
	if !w.plan.silent {
		for _, h := range w.hosts {
			watching.Go(func() { w.load(stop, h) })
		}
	}
	w.play()
	cancel()
	watching.Wait()
	w.judgeLoad()
	w.settle()
	w.afterwards()
}

func (w *world) end() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	for _, h := range w.hosts {
		h.shut()
	}
	time.Sleep(5 * time.Minute) // whatever still waits has given up then
}
