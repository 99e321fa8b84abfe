package service

import (
	"context"
	"net"
	"net/http"
	"testing"
)

// seen is a listener that tells how often it accepted.
type seen struct {
	net.Listener
	accepted chan struct{}
}

func (s seen) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err == nil {
		s.accepted <- struct{}{}
	}
	return c, err
}

// A limiter, or whatever else has to see the connections, stands around the
// listener.
func TestServeHTTPThroughAListenerOfOnesOwn(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	address, accepted := make(chan string, 1), make(chan struct{}, 10)
	around := func(l net.Listener) net.Listener {
		address <- l.Addr().String()
		return seen{l, accepted}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Func(func(ctx context.Context) error {
			return ServeHTTP(ctx, "127.0.0.1:0", &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}, around)
		}), WithMode(Daemon))
	}()
	resp, err := http.Get("http://" + <-address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if <-accepted; resp.StatusCode != 200 {
		t.Errorf("answered %s", resp.Status)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestIsVerb(t *testing.T) {
	for verb, want := range map[string]bool{"install": true, "control": true, "": false, "-listen": false, "serve": false} {
		if IsVerb([]string{verb}) != want {
			t.Errorf("%q", verb)
		}
	}
	if IsVerb(nil) {
		t.Error("no arguments are a verb")
	}
}
