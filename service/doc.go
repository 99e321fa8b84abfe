// Package service gives a Go service, in a few lines, what production asks of
// a daemon: it runs in a console, as a Windows service and as a systemd unit
// from one executable, installs itself, tells its state truthfully, drains
// before it stops, answers /livez, /readyz and /healthz, knows the slot and
// the role that shipper gave it, checks its own health, can be driven from the
// machine it runs on, and does periodic work where it may run only once.
//
// The smallest service:
//
//	func main() {
//		service.Main("hello", service.Func(func(ctx context.Context) error {
//			return service.Serve(ctx, ":8080", hello)
//		}))
//	}
//
// An app that has no single function to run implements [App]. Inside of it
// [From] gives the running [Service].
//
// It needs nothing of shipper at run time. Heavy parts lie in packages below
// this one, so that a small service stays small.
package service
