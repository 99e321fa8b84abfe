package service

import (
	"context"
	"errors"
)

// App is what a service does.
type App interface {
	// Start returns when the service works, or with the reason why it cannot.
	// ctx ends when the service stops; work that goes on after Start returned
	// may hang on it, and a failure of it later is told by [Service.Fail].
	Start(ctx context.Context) error
	// Stop finishes what is in flight and ends the work. ctx ends with the drain
	// time. It is called once, and only after a Start that returned nil.
	Stop(ctx context.Context) error
}

// Func is a whole service in one function: it works until ctx ends, then
// finishes what is in flight within the drain time ([Service.Drain]) and
// returns. It calls [Service.Ready] when it works; [Serve] does that for HTTP.
// An error fails the service; nil before ctx ends stops it.
type Func func(ctx context.Context) error

// Start is not used: Run calls the function itself.
func (f Func) Start(context.Context) error { return errors.ErrUnsupported }

// Stop is not used: the end of the function's context stops it.
func (f Func) Stop(context.Context) error { return errors.ErrUnsupported }

// body makes one function of an app.
func body(app App) func(ctx context.Context, s *Service) error {
	if f, ok := app.(Func); ok {
		return func(ctx context.Context, _ *Service) error { return f(ctx) }
	}
	return func(ctx context.Context, s *Service) error {
		if err := app.Start(ctx); err != nil {
			return err
		}
		s.Ready()
		<-ctx.Done()
		limited, cancel := s.Drain(ctx)
		defer cancel()
		return app.Stop(limited)
	}
}

// Pauser is an App that does something of its own when the service manager
// pauses and continues the service. Without it a pause only holds new work.
type Pauser interface {
	// Pause returns when the work rests; an error leaves the service running.
	Pause(ctx context.Context) error
	// Continue returns when the work goes on; an error leaves it paused.
	Continue(ctx context.Context) error
}

type contextKey struct{}

// From gives the service that ctx belongs to: that of an App's or Func's
// context, or of one made from it. It panics where there is none, which is a
// mistake of the program.
func From(ctx context.Context) *Service {
	s, ok := ctx.Value(contextKey{}).(*Service)
	if !ok {
		panic("service.From: this context is not of a service")
	}
	return s
}
