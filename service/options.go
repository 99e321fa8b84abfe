package service

import (
	"context"
	"log/slog"
	"time"
)

// Defaults of the options, and what stopping may take beyond the drain time.
const (
	DefaultStartTimeout = time.Minute
	DefaultDrainTimeout = 20 * time.Second
	stopMargin          = 10 * time.Second
)

// Option sets what Run would choose otherwise.
type Option func(*options)

type options struct {
	name, version, slot string
	mode                Mode // "" to detect
	log                 *slog.Logger
	start, drain        time.Duration
	roleFile            string
	registration        Registration
	parts               []App
	atEnd               []func(error) error
	jobs                []Job
	checks              []Check
	live                []func() error
	reload              []func(context.Context) error
	set                 func(ctx context.Context, key, value string) error
	controlDir          string
	onState             []func(Transition)
	onRole              []func(Role)
	onHealth            []func(HealthEvent)
}

// WithName names the service: in logs, and for install and the other verbs.
// Main sets it. Default: "service".
func WithName(name string) Option { return func(o *options) { o.name = name } }

// WithVersion sets the version that logs and probes tell. Default:
// SHIPPER_VERSION, else the version of the main module.
func WithVersion(version string) Option { return func(o *options) { o.version = version } }

// WithMode fixes the mode instead of [DetectMode].
func WithMode(m Mode) Option { return func(o *options) { o.mode = m } }

// WithLogger sets where the kit logs, and what [Service.Logger] gives. Default:
// stderr, as text with debug lines in [Debug] mode, else as JSON from info on
// with service, version and slot.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// WithStartTimeout bounds the time until the service is ready; then it fails
// with [ErrNotReady]. Default: [DefaultStartTimeout].
func WithStartTimeout(d time.Duration) Option { return func(o *options) { o.start = d } }

// WithDrainTimeout bounds the work that is finished after a stop; a service
// that takes ten seconds longer fails with [ErrStuck]. Default:
// [DefaultDrainTimeout].
func WithDrainTimeout(d time.Duration) Option { return func(o *options) { o.drain = d } }

// WithRoleFile sets the file that tells the role. Default: SHIPPER_ROLE_FILE;
// without either the role is [Stable].
func WithRoleFile(path string) Option { return func(o *options) { o.roleFile = path } }

// WithRegistration says how install registers the service.
func WithRegistration(r Registration) Option { return func(o *options) { o.registration = r } }

// WithPart adds something that lives with the service: it is started before
// the app, in order, and stopped after it, in reverse. Inside, From works.
func WithPart(part App) Option { return func(o *options) { o.parts = append(o.parts, part) } }

// AtEnd calls f at the very end, after the last line of the kit's own log, with
// what Run is about to return: for the log itself, and for what wants to know
// how it ended. The last one given is called first. Its error fails Run.
func AtEnd(f func(err error) error) Option { return func(o *options) { o.atEnd = append(o.atEnd, f) } }

// WithJob adds periodic work.
func WithJob(j Job) Option { return func(o *options) { o.jobs = append(o.jobs, j) } }

// WithChecks adds health checks.
func WithChecks(c ...Check) Option { return func(o *options) { o.checks = append(o.checks, c...) } }

// WithLiveness adds a question: nil while the process need not be restarted.
// /livez answers it, and systemd's watchdog hears nothing while it is an error.
func WithLiveness(alive func() error) Option {
	return func(o *options) { o.live = append(o.live, alive) }
}

// WithReload adds what reads the configuration again: at SIGHUP, at the
// service manager's parameter change, and at RELOAD by remote control. An
// error means that the old one is still in force.
func WithReload(reload func(ctx context.Context) error) Option {
	return func(o *options) { o.reload = append(o.reload, reload) }
}

// WithSet takes SET key=value of the remote control. An error refuses it.
// Without this option SET is refused.
func WithSet(set func(ctx context.Context, key, value string) error) Option {
	return func(o *options) { o.set = set }
}

// WithControl opens the remote control with its socket or address file in dir,
// which is made for the service's account only. Default: none. "" means none.
func WithControl(dir string) Option { return func(o *options) { o.controlDir = dir } }

// OnState calls f at every transition, in order. f returns soon and does not
// change the state itself.
func OnState(f func(Transition)) Option {
	return func(o *options) { o.onState = append(o.onState, f) }
}

// OnRole calls f with the role at the start and at every change of it, in
// order. f returns soon.
func OnRole(f func(Role)) Option { return func(o *options) { o.onRole = append(o.onRole, f) } }

// OnHealth calls f when a health check begins to fail and when it is well again.
func OnHealth(f func(HealthEvent)) Option {
	return func(o *options) { o.onHealth = append(o.onHealth, f) }
}
