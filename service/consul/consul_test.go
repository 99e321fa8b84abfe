package consul

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/go-shipper/shipper/service"
)

// What agents say of a service that they do not know, and of other troubles.
func TestUnknown(t *testing.T) {
	for _, tt := range []struct {
		status int
		text   string
		want   bool
	}{
		{404, `Unknown check ID "service:orders". Ensure that the check ID is passed, not the check name.`, true},
		{404, `Unknown service ID "orders". Ensure that the service ID is passed, not the service name.`, true},
		{500, `CheckID "service:orders" does not have associated TTL`, true},
		{500, "No cluster leader", false},
		{403, "Permission denied", false},
		{400, "Request decode failed", false},
	} {
		if got := unknown(tt.status, tt.text); got != tt.want {
			t.Errorf("%d %s: %v", tt.status, tt.text, got)
		}
	}
}

// run runs a service with the part and gives what Run returns; the service
// stops as soon as it is ready.
func run(t *testing.T, p *Part) error {
	t.Helper()
	return service.Run(t.Context(), service.Func(func(ctx context.Context) error {
		service.From(ctx).Ready()
		return nil
	}), service.WithMode(service.Daemon), service.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil))), service.WithPart(p))
}

// An agent that is not there neither fails the service nor holds it up.
func TestNoAgent(t *testing.T) {
	refused := errors.New("connection refused")
	p := New(Options{Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) { return nil, refused })}})
	if err := run(t, p); err != nil {
		t.Error(err)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOptionsOutOfRange(t *testing.T) {
	for _, o := range []Options{{Agent: "http://"}, {Agent: "://"}, {Port: 70000}, {TTL: time.Millisecond}} {
		if err := run(t, New(o)); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}
