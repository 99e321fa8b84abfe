// Orders is a small HTTP service that is shipped in the demo and the tests:
// orders as JSON under /orders, its version under /version, its numbers under
// /metrics, and all that package service gives. It can be told to misbehave
// (faults.go).
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/service"
	"github.com/go-shipper/shipper/service/log"
	"github.com/go-shipper/shipper/service/metrics"
	"github.com/go-shipper/shipper/service/recovery"
	"github.com/go-shipper/shipper/service/reload"
	"github.com/go-shipper/shipper/service/secrets"
	"github.com/go-shipper/shipper/service/trace"
)

// Set by -ldflags -X.
var (
	version = "dev"
	commit  = "none"
	faults  = "" // NAME=value,… as in the environment: a version that is bad by itself
)

func main() {
	c, err := parseConfig(os.Args[1:], os.Getenv)
	a := &app{config: c, server: server{slot: os.Getenv("SHIPPER_SLOT"), misbehaviour: misbehaviour{faults: c.faults}}}
	a.use(service.WithVersion(version), service.WithControl(c.control),
		service.WithRegistration(service.Registration{DisplayName: "Orders", Description: "Takes orders over HTTP"}))
	for _, open := range []func() error{a.openLog, a.openStore, a.openDoors, a.watchCrashes, a.openSecrets, a.joinConsul} {
		if err == nil && !service.IsVerb(os.Args[1:]) { // with install, status, control … nothing runs here
			err = open()
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	service.Main("orders", service.Func(a.serve), a.options...)
}

// app is orders with all that it lives with.
type app struct {
	config
	server
	log     *log.Log
	metrics *metrics.Metrics
	limiter *reload.Limiter
	rate    *reload.Rate
	lock    func(http.Handler) http.Handler // lets in who may take orders
	tls     *tls.Config                     // nil: none
	secrets secrets.Resolver
	options []service.Option
}

func (a *app) use(o ...service.Option) { a.options = append(a.options, o...) }

// openLog also declares what can be changed while it runs: by the settings
// file, or by hand: orders control SET log_level=debug.
func (a *app) openLog() error {
	level, params := new(slog.LevelVar), reload.NewParams()
	o := log.Options{Service: "orders", Version: version, Slot: a.slot, Level: level, File: a.config.log}
	mode, err := service.DetectMode()
	if o.Text = mode == service.Debug; mode == service.WindowsService {
		o.Events, err = log.OpenEvents("orders")
	}
	if err != nil {
		return err
	}
	if a.log, err = log.Open(o); err != nil {
		return err
	}
	slog.SetDefault(a.log.Logger())
	if o.Text {
		level.Set(slog.LevelDebug)
	}
	params.Level("log_level", level)
	a.limiter = reload.NewLimiter(params.Int("max_connections", 500, 50, 500, "connections"))
	a.rate = reload.NewRate(params.Int("max_rate", 50_000, 1, 1_000_000, "requests per second"))
	a.metrics = metrics.New(metrics.Options{Service: "orders", Version: version, Slot: a.slot})
	a.metrics.Log(a.log)
	a.use(service.WithLogger(a.log.Logger()), service.AtEnd(func(error) error { return a.log.Close() }),
		service.WithDrainTimeout(10*time.Second), service.WithSet(params.Set))
	if a.settings == "" {
		return nil
	}
	file, err := reload.Open(a.settings, reload.Options[reload.Settings]{})
	if err != nil {
		return err
	}
	a.use(service.WithPart(file), service.WithReload(file.Reload), service.WithChecks(service.Check{Name: "settings", Probe: file.Check}))
	return file.Use(context.Background(), "settings", func(_ context.Context, _, next reload.Settings) (func(), error) { return params.Prepare(next) })
}

func (a *app) openStore() (err error) {
	if a.store, err = openStore(a.data, a.metrics.Registry()); err != nil {
		return err
	}
	a.metrics.Health("store", a.store.ping)
	a.use(service.AtEnd(func(error) error { return a.store.Close() }), service.WithChecks(service.CPU(), service.Memory(),
		service.Dependency("store", a.store.ping), service.DiskWait(a.store.dir(), time.Second), a.misbehaviour.check()))
	return nil
}

// watchCrashes reports the crash of the run before, and counts it when the
// supervised work of this one fails.
func (a *app) watchCrashes() error {
	policy := recovery.Policy{Heartbeat: cmp.Or(a.faults.hangSync, 5*time.Second)}
	policy.Grace = 2 * policy.Heartbeat
	w := &worker{log: a.log.Logger(), store: a.store, supervisor: recovery.NewSupervisor("sync", policy, nil), hang: a.faults.hangSync > 0}
	if a.config.log != "" {
		keep := filepath.Join(filepath.Dir(a.config.log), "crashes")
		crashes, err := recovery.Watch(recovery.Options{Dir: keep, Name: "orders", Version: version, LogFile: a.config.log, Policy: policy})
		if err != nil {
			return err
		}
		w.supervisor, w.checkpoint = crashes.Supervisor("sync"), recovery.NewCheckpoint[progress](filepath.Join(keep, "sync"), 1, nil)
		a.use(service.AtEnd(crashes.End))
	}
	w.restore()
	a.use(service.WithChecks(service.Check{Name: "sync", Action: service.Unready, Probe: w.supervisor.Check}),
		service.WithJob(service.Job{Name: "sync", Every: a.sync, Timeout: time.Minute, Singleton: true, Run: w.run}))
	return nil
}

// serve answers until ctx ends, and then what is in flight.
func (a *app) serve(ctx context.Context) error {
	s := service.From(ctx)
	a.metrics.State(func() string { return string(s.State().To) }, "INIT", "RUNNING", "DEGRADED", "STOPPING", "STOPPED")
	if err := a.slowStart(ctx); err != nil {
		return err
	}
	handler := a.metrics.Requests(a.handler(a.lock, a.metrics.Handler()))
	web := &http.Server{Handler: a.limiter.Handler(trace.Handler(log.Requests(a.log.Logger(), handler))), ConnContext: a.limiter.ConnContext, TLSConfig: a.tls}
	defer a.misbehaviour.hang()
	return service.ServeHTTP(ctx, a.listen, web, a.limiter.Listen)
}
