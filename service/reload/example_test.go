package reload_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/service/reload"
)

type config struct {
	Greeting string          `json:"greeting"`
	Params   reload.Settings `json:"params"`
}

func Example() {
	dir, _ := os.MkdirTemp("", "reload")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "config.json")
	os.WriteFile(path, []byte(`{"greeting": "hello", "params": {"max_connections": 300}}`), 0o600)

	params := reload.NewParams()
	most := params.Int("max_connections", 200, 50, 500, "connections")

	ctx := context.Background()
	file, err := reload.Open(path, reload.Options[config]{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	err = file.Use(ctx, "parameters", func(_ context.Context, _, next config) (func(), error) {
		return params.Prepare(next.Params)
	})
	fmt.Println(most.Get(), err)

	os.WriteFile(path, []byte(`{"greeting": "bye", "params": {"max_connections": 900}}`), 0o600)
	fmt.Println(file.Reload(ctx))
	fmt.Println(file.Get().Greeting, most.Get())
	// Output:
	// 300 <nil>
	// reload configuration: parameters: max_connections: "900": out of range: 50…500
	// hello 300
}

func ExampleLimiter() {
	params := reload.NewParams()
	most := params.Int("max_connections", 200, 50, 500, "connections")
	limiter := reload.NewLimiter(most)
	srv := &http.Server{Handler: limiter.Handler(http.NotFoundHandler()), ConnContext: limiter.ConnContext}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go srv.Serve(limiter.Listen(listener))
	defer srv.Close()

	fmt.Println(params.Set(context.Background(), "max_connections", "100"), most.Get(), limiter.Open())
	// Output: <nil> 100 0
}
