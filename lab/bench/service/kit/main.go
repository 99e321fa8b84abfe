// Command kit is the bare service with all that the kit has for every service:
// life cycle, log, traces, metrics, crash reports, a supervisor, and a
// configuration that is watched.
package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/service"
	"github.com/go-shipper/shipper/service/log"
	"github.com/go-shipper/shipper/service/metrics"
	"github.com/go-shipper/shipper/service/recovery"
	"github.com/go-shipper/shipper/service/reload"
	"github.com/go-shipper/shipper/service/trace"
)

type config struct {
	Params reload.Settings `json:"params"`
}

func main() {
	addressFile := os.Args[1]
	dir := filepath.Dir(addressFile)
	l, err := log.Open(log.Options{Service: "kit", Version: "1.0.0", Slot: "blue", File: filepath.Join(dir, "kit.log")})
	if err != nil {
		panic(err)
	}
	crashes, err := recovery.Watch(recovery.Options{Dir: filepath.Join(dir, "recovery"), Name: "kit", LogFile: filepath.Join(dir, "kit.log"), Log: l.Logger()})
	if err != nil {
		panic(err)
	}
	file, err := reload.Open(filepath.Join(dir, "kit.json"), reload.Options[config]{Log: l.Logger()})
	if err != nil {
		panic(err)
	}
	params := reload.NewParams()
	limiter := reload.NewLimiter(params.Int("max_connections", 200, 50, 500, "connections"))
	m := metrics.New(metrics.Options{Service: "kit", Version: "1.0.0", Slot: "blue"})
	m.Log(l)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	mux.Handle("GET /metrics", m.Handler())
	handler := limiter.Handler(trace.Handler(log.Requests(l.Logger(), m.Requests(mux))))

	app := service.Func(func(ctx context.Context) error {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: service.From(ctx).Handler(handler), ConnContext: limiter.ConnContext}
		go srv.Serve(limiter.Listen(ln))
		go crashes.Supervisor("idle").Run(ctx, func(ctx context.Context, _ func()) error { <-ctx.Done(); return nil })
		if err := os.WriteFile(addressFile, []byte(ln.Addr().String()), 0o600); err != nil {
			return err
		}
		service.From(ctx).Ready()
		<-ctx.Done()
		return srv.Shutdown(context.WithoutCancel(ctx))
	})
	err = service.Run(context.Background(), app, service.WithName("kit"), service.WithLogger(l.Logger()), service.WithPart(file), service.WithReload(file.Reload), service.WithSet(params.Set))
	if err := crashes.End(err); err != nil {
		slog.Error("end", "error", err)
	}
	l.Close()
}
