package config

import (
	"net"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/go-shipper/shipper/release"
)

// Defaults of shipper.yaml; docs/CONFIGURATION.md lists them.
const (
	DefaultMode             = "native"
	DefaultStopSignal       = "ctrl-break"
	DefaultStopTimeout      = 30 * time.Second
	DefaultStartTimeout     = 60 * time.Second
	DefaultPackage          = "."
	DefaultDist             = "dist"
	DefaultRouter           = "embedded"
	DefaultBoot             = "hold"
	DefaultDrainTimeout     = 30 * time.Second
	DefaultCheckInterval    = time.Second
	DefaultCheckTimeout     = 5 * time.Second
	DefaultCheckSuccesses   = 3
	DefaultCheckDeadline    = 60 * time.Second
	DefaultStrategy         = "canary"
	DefaultStepPause        = 30 * time.Second
	DefaultBake             = time.Minute
	DefaultKeepWarm         = 15 * time.Minute
	DefaultParkFor          = 24 * time.Hour
	DefaultProgressDeadline = 10 * time.Minute
	DefaultMinRequests      = 50
	DefaultMaxWait          = 6 * time.Minute
	DefaultOnInsufficient   = "pause"
	DefaultSignalInterval   = 5 * time.Second
	DefaultFailureLimit     = 1
	DefaultAlpha            = 0.001
	DefaultMaxErrors        = 0.01
	DefaultMargin           = 1.0
	DefaultTolerance        = 0.2
	DefaultPercentile       = 0.99
	DefaultScope            = "fleet"
	DefaultLease            = 30 * time.Second
	DefaultReleases         = 5
	DefaultTransport        = "winrm"
	DefaultAuth             = "ntlm"
	DefaultPort             = 5985
	DefaultPortHTTPS        = 5986
	DefaultTimeout          = 10 * time.Second
	DefaultArch             = "amd64"
	slotPortOffset          = 10000
)

// DefaultWeights are the steps of a canary, in percent; each is followed by
// a pause and an analysis. 100 comes by itself.
func DefaultWeights() []int { return []int{5, 25, 50} }

// DefaultRecovery is how long Windows waits before it restarts a crashed
// service of a committed release.
func DefaultRecovery() []time.Duration {
	return []time.Duration{5 * time.Second, 30 * time.Second, time.Minute}
}

// DefaultAllow lists how the helper may get to a host, first choice first.
func DefaultAllow() []string { return []string{"tar", "powershell"} }

// defaulter is asked before a value is read, so that what the file says,
// zero included, wins.
type defaulter interface{ setDefaults() }

func (s *Service) setDefaults() {
	s.Mode, s.StopSignal = DefaultMode, DefaultStopSignal
	s.StopTimeout, s.StartTimeout = DefaultStopTimeout, DefaultStartTimeout
	s.Recovery = DefaultRecovery()
}

func (b *Build) setDefaults() { b.Package, b.Dist = DefaultPackage, DefaultDist }

func (t *Traffic) setDefaults() {
	t.Router, t.Boot, t.DrainTimeout = DefaultRouter, DefaultBoot, DefaultDrainTimeout
}

func (c *Check) setDefaults() {
	c.Interval, c.Timeout = DefaultCheckInterval, DefaultCheckTimeout
	c.Successes, c.Deadline = DefaultCheckSuccesses, DefaultCheckDeadline
}

func (r *Rollout) setDefaults() {
	r.Strategy, r.Bake = DefaultStrategy, DefaultBake
	r.ProgressDeadline, r.KeepWarm, r.ParkFor = DefaultProgressDeadline, DefaultKeepWarm, DefaultParkFor
}

func (a *Analysis) setDefaults() {
	a.Alpha = DefaultAlpha
	a.MinRequests, a.MaxWait, a.OnInsufficientData = DefaultMinRequests, DefaultMaxWait, DefaultOnInsufficient
}

func (s *Signal) setDefaults() {
	s.Interval, s.FailureLimit = DefaultSignalInterval, DefaultFailureLimit
}

func (e *EvidenceTest) setDefaults() {
	e.MaxErrors, e.Margin, e.Tolerance = DefaultMaxErrors, DefaultMargin, DefaultTolerance
}

func (l *LatencyLimit) setDefaults() { l.Percentile = DefaultPercentile }

func (r *Rollback) setDefaults() { r.Auto, r.Scope, r.Lease = true, DefaultScope, DefaultLease }

func (r *Retention) setDefaults() { r.Releases = DefaultReleases }

func (b *Bootstrap) setDefaults() { b.Allow = DefaultAllow() }

func (h *Host) setDefaults() { h.Arch = DefaultArch }

func (t *Transport) setDefaults() {
	t.Type, t.Auth, t.Timeout = DefaultTransport, DefaultAuth, DefaultTimeout
}

// complete fills in what follows from other values, and makes paths absolute.
func (t *Target) complete() {
	t.completeService()
	t.completeRollout()
	t.completeSignals()
	if t.Transport.Port == 0 && t.Transport.Type == "winrm" {
		t.Transport.Port = DefaultPort
		if t.Transport.HTTPS {
			t.Transport.Port = DefaultPortHTTPS
		}
	}
	if len(t.Checks) == 0 {
		check := Check{TCP: true}
		check.setDefaults()
		t.Checks = []Check{check}
	}
	for i := range t.Hosts {
		if t.Hosts[i].Name == "" {
			t.Hosts[i].Name = t.Hosts[i].Address
		}
	}
	t.absolute()
}

func (t *Target) completeService() {
	s := &t.Service
	if s.Binary == "" {
		s.Binary = s.Name
	}
	if s.DisplayName == "" {
		s.DisplayName = s.Name
	}
	for i, f := range s.Files {
		if f.To == "" && f.From != "" {
			s.Files[i].To = path.Base(filepath.ToSlash(f.From))
		}
	}
	if s.Ports == (Ports{}) {
		s.Ports = slotPorts(t.Traffic.Listen)
	}
}

// slotPorts derives the loopback ports from the public one: plus 10000, or
// minus where that leaves the range that slots may use.
func slotPorts(listen string) Ports {
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return Ports{}
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return Ports{}
	}
	if n+slotPortOffset+1 > maxSlotPort {
		n -= 3 * slotPortOffset
	}
	return Ports{Blue: n + slotPortOffset, Green: n + slotPortOffset + 1}
}

func (t *Target) completeRollout() {
	r := &t.Rollout
	if r.Steps == nil && r.Strategy == "canary" {
		r.Steps = defaultSteps()
	}
	if len(r.Batches) == 0 {
		r.Batches = [][]string{nil}
		for _, h := range t.Hosts {
			name := h.Name
			if name == "" {
				name = h.Address
			}
			r.Batches[0] = append(r.Batches[0], name)
		}
	}
}

func defaultSteps() []Step {
	var steps []Step
	for _, percent := range DefaultWeights() {
		weight, pause := release.Weight(percent*100), DefaultStepPause
		steps = append(steps, Step{SetWeight: &weight}, Step{Pause: &pause}, Step{Analysis: true})
	}
	return steps
}

func (t *Target) completeSignals() {
	a := &t.Analysis
	if len(a.Signals) == 0 {
		signal := Signal{Evidence: &EvidenceTest{}}
		signal.setDefaults()
		signal.Evidence.setDefaults()
		a.Signals = []Signal{signal}
	}
	for i := range a.Signals {
		s := &a.Signals[i]
		switch {
		case s.Name != "":
		case s.Evidence != nil:
			s.Name = "evidence"
		case s.Errors != nil:
			s.Name = "errors"
		case s.Latency != nil:
			s.Name = "latency"
		}
		if s.MinRequests == 0 {
			s.MinRequests = a.MinRequests
		}
	}
}

// absolute makes the controller's paths independent of its working folder.
func (t *Target) absolute() {
	dir := filepath.Dir(t.Path)
	for _, p := range []*string{&t.Build.Prebuilt, &t.Build.Dist, &t.Transport.CA, &t.Transport.Root} {
		*p = join(dir, *p)
	}
	if t.Build.Goreleaser != "none" {
		t.Build.Goreleaser = join(dir, t.Build.Goreleaser)
	}
	if filepath.Base(t.Build.Tool) != t.Build.Tool {
		t.Build.Tool = join(dir, t.Build.Tool)
	}
	for i := range t.Service.Files {
		t.Service.Files[i].From = join(dir, t.Service.Files[i].From)
	}
	for name, ref := range t.Service.Secrets {
		t.Service.Secrets[name] = absoluteRef(dir, ref)
	}
	t.Transport.Password = absoluteRef(dir, t.Transport.Password)
	t.Transport.User = absoluteRef(dir, t.Transport.User)
}

func join(dir, p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(dir, p)
}

// needs lists the build targets of this environment's hosts.
func (t *Target) needs() []string {
	var targets []string
	for _, h := range t.Hosts {
		target := "windows/" + h.Arch
		if t.Transport.Type == "local" {
			target = runtime.GOOS + "/" + runtime.GOARCH
		}
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
	}
	return targets
}
