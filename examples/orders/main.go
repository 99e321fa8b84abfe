// Orders is a small HTTP service that is shipped in the demo and the tests:
// orders as JSON under /orders, its version under /version, and all that
// package service gives. It can be told to misbehave (faults.go).
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/go-shipper/shipper/service"
	"github.com/go-shipper/shipper/service/consul"
	"github.com/go-shipper/shipper/service/log"
	"github.com/go-shipper/shipper/service/reload"
	"github.com/go-shipper/shipper/service/trace"
)

// Set by -ldflags -X.
var (
	version = "dev"
	commit  = "none"
	faults  = "" // NAME=value,… as in the environment: a version that is bad by itself
)

func main() {
	a, err := configure(os.Args[1:], os.Getenv)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
	service.Main("orders", service.Func(a.serve), a.options()...)
}

// app is the service as it is configured.
type app struct {
	server
	listen, control string
	sync            time.Duration
	drain           time.Duration
	log             *log.Log
	params          *reload.Params
	limiter         *reload.Limiter
	settings        *reload.File[reload.Settings] // nil: none
}

// openLog also declares what can be changed while it runs: by the settings
// file, and by hand: orders control SET log_level=debug.
func (a *app) openLog(file, settings string) error {
	mode, err := service.DetectMode()
	if err != nil {
		return err
	}
	var level slog.LevelVar
	o := log.Options{Service: "orders", Version: version, Slot: a.slot, Level: &level, File: file, Text: mode == service.Debug}
	if mode == service.WindowsService {
		if o.Events, err = log.OpenEvents("orders"); err != nil {
			return err
		}
	}
	if a.log, err = log.Open(o); err != nil {
		return err
	}
	slog.SetDefault(a.log.Logger())
	a.params.Level("log_level", &level)
	a.limiter = reload.NewLimiter(a.params.Int("max_connections", 500, 50, 500, "connections"))
	if settings == "" {
		return nil
	}
	if a.settings, err = reload.Open(settings, reload.Options[reload.Settings]{Log: a.log.Logger()}); err != nil {
		return err
	}
	return a.settings.Use(context.Background(), "parameters", func(_ context.Context, _, next reload.Settings) (func(), error) {
		return a.params.Prepare(next)
	})
}

func (a *app) options() []service.Option {
	o := []service.Option{
		service.WithVersion(version), service.WithLogger(a.log.Logger()), service.WithCloser(a.store), service.WithCloser(a.log),
		service.WithDrainTimeout(a.drain), service.WithControl(a.control), service.WithSet(a.params.Set),
		service.WithRegistration(service.Registration{DisplayName: "Orders", Description: "Takes orders over HTTP"}),
		service.WithChecks(service.CPU(), service.Memory(), service.Dependency("store", a.store.ping),
			service.DiskWait(a.store.dir(), time.Second), a.misbehaviour.check()),
		service.WithJob(service.Job{Name: "sync", Every: a.sync, Timeout: time.Minute, Singleton: true, Run: a.count}),
	}
	if a.settings != nil {
		o = append(o, service.WithPart(a.settings), service.WithReload(a.settings.Reload))
	}
	if os.Getenv("CONSUL_HTTP_ADDR") != "" {
		o = append(o, service.WithPart(consul.New(consul.Options{Endpoint: a.listen, Tags: []string{"http"}})))
	}
	return o
}

// serve answers until ctx ends, and then what is in flight.
func (a *app) serve(ctx context.Context) error {
	s := service.From(ctx)
	if err := a.slowStart(ctx); err != nil {
		return err
	}
	l, err := s.Listen(ctx, a.listen)
	if err != nil {
		return err
	}
	handler := trace.Handler(log.Requests(a.log.Logger(), a.handler()))
	err = service.ServeOn(ctx, a.limiter.Listen(l), &http.Server{Handler: a.limiter.Handler(handler), ConnContext: a.limiter.ConnContext})
	a.misbehaviour.hang()
	return err
}

// count is the work that may run once only: it looks at all orders.
func (a *app) count(ctx context.Context) error {
	orders, err := a.store.list()
	if err != nil {
		return fmt.Errorf("count orders: %w", err)
	}
	a.log.Logger().InfoContext(ctx, "orders", "newest", len(orders))
	return nil
}
