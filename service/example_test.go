package service_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-shipper/shipper/service"
)

// The smallest service. In a main function service.Main("hello", app) does the
// same until a signal comes, and knows install, start and the other verbs.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	app := service.Func(func(ctx context.Context) error {
		return service.Serve(ctx, "127.0.0.1:0", hello)
	})
	err := service.Run(ctx, app, service.WithLogger(slog.New(slog.DiscardHandler)), service.OnState(func(t service.Transition) {
		fmt.Println(t.From, "→", t.To)
		stop()
	}))
	fmt.Println(err)
	// Output:
	// INIT → RUNNING
	// RUNNING → STOPPING
	// STOPPING → STOPPED
	// <nil>
}
