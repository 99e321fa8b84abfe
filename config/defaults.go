package config

import (
	"net"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-shipper/shipper/release"
)

// Defaults of shipper.yaml; docs/CONFIGURATION.md lists them.
const (
	defaultMode             = "native"
	defaultStopSignal       = "ctrl-break"
	defaultStopTimeout      = 30 * time.Second
	defaultStartTimeout     = 60 * time.Second
	defaultPackage          = "."
	defaultDist             = "dist"
	defaultRouter           = "embedded"
	defaultTrafficMode      = "http"
	defaultSpeak            = "http1"
	defaultBoot             = "hold"
	defaultDrainTimeout     = 30 * time.Second
	defaultHealthInterval   = 5 * time.Second
	defaultHealthTimeout    = 2 * time.Second
	defaultRise             = 2
	defaultFall             = 3
	defaultOutlierWindow    = 10 * time.Second
	defaultEject            = 10 * time.Second
	defaultMaxEject         = 5 * time.Minute
	defaultLogMB            = 50
	defaultLogAge           = 24 * time.Hour
	defaultLogKeep          = 7
	defaultCheckInterval    = time.Second
	defaultCheckTimeout     = 5 * time.Second
	defaultCheckSuccesses   = 3
	defaultCheckDeadline    = 60 * time.Second
	defaultStrategy         = "canary"
	defaultStepPause        = 30 * time.Second
	defaultBake             = time.Minute
	defaultKeepWarm         = 15 * time.Minute
	defaultParkFor          = 24 * time.Hour
	defaultProgressDeadline = 10 * time.Minute
	defaultFastTrack        = 24 * time.Hour
	defaultRamp             = 10 * time.Second
	defaultHold             = 30 * time.Second
	defaultData             = "shared"
	defaultUnreachable      = UnreachableFail
	defaultQuorum           = 51
	defaultMinRequests      = 50
	defaultMaxWait          = 6 * time.Minute
	defaultOnInsufficient   = "pause"
	defaultSignalInterval   = 5 * time.Second
	defaultFailureLimit     = 1
	defaultAlpha            = 0.001
	defaultMaxErrors        = 0.01
	defaultMargin           = 1.0
	defaultTolerance        = 0.2
	defaultPercentile       = 0.99
	defaultScope            = "fleet"
	defaultLease            = 30 * time.Second
	defaultReleases         = 5
	defaultTransport        = "winrm"
	defaultAuth             = "ntlm"
	defaultPort             = 5985
	defaultPortSSH          = 22
	defaultPortHTTPS        = 5986
	defaultTimeout          = 10 * time.Second
	defaultArch             = "amd64"
	defaultGitHub           = "https://api.github.com"
	defaultRegion           = "us-east-1"
	slotPortOffset          = 10000
)

// defaultWeights are the steps of a canary, in percent; each is followed by
// a pause and an analysis. 100 comes by itself.
func defaultWeights() []int { return []int{5, 25, 50} }

// defaultRecovery is how long Windows waits before it restarts a crashed
// service of a committed release.
func defaultRecovery() []time.Duration {
	return []time.Duration{5 * time.Second, 30 * time.Second, time.Minute}
}

// defaultAllow lists how the helper may get to a host, first choice first.
func defaultAllow() []string { return []string{"tar", "powershell"} }

// defaulter is asked before a value is read, so that what the file says,
// zero included, wins.
type defaulter interface{ setDefaults() }

func (s *Service) setDefaults() {
	s.Mode, s.StopSignal = defaultMode, defaultStopSignal
	s.StopTimeout, s.StartTimeout = defaultStopTimeout, defaultStartTimeout
	s.Recovery, s.Data = defaultRecovery(), defaultData
}

func (b *Build) setDefaults() { b.Package, b.Dist = defaultPackage, defaultDist }

func (t *Traffic) setDefaults() {
	t.Router, t.Boot, t.DrainTimeout = defaultRouter, defaultBoot, defaultDrainTimeout
	t.Mode, t.Speak = defaultTrafficMode, defaultSpeak
}

func (h *Health) setDefaults() {
	h.Interval, h.Timeout, h.Rise, h.Fall = defaultHealthInterval, defaultHealthTimeout, defaultRise, defaultFall
}

func (o *Outlier) setDefaults() {
	o.Window, o.Eject, o.MaxEject = defaultOutlierWindow, defaultEject, defaultMaxEject
}

func (l *AccessLog) setDefaults() {
	l.MaxMB, l.MaxAge, l.Keep = defaultLogMB, defaultLogAge, defaultLogKeep
}

func (c *Check) setDefaults() {
	c.Interval, c.Timeout = defaultCheckInterval, defaultCheckTimeout
	c.Successes, c.Deadline = defaultCheckSuccesses, defaultCheckDeadline
}

func (r *Rollout) setDefaults() {
	r.Strategy, r.Bake = defaultStrategy, defaultBake
	r.ProgressDeadline, r.KeepWarm, r.ParkFor = defaultProgressDeadline, defaultKeepWarm, defaultParkFor
	r.Unreachable, r.Hold, r.FastTrack = defaultUnreachable, defaultHold, defaultFastTrack
	r.OnConcurrent = ConcurrentReject
	r.MaxUnavailable, r.Quorum = Amount{N: 1}, Amount{N: defaultQuorum, Percent: true}
}

func (a *Analysis) setDefaults() {
	a.Alpha = defaultAlpha
	a.MinRequests, a.MaxWait, a.OnInsufficientData = defaultMinRequests, defaultMaxWait, defaultOnInsufficient
}

func (s *Signal) setDefaults() {
	s.Interval, s.FailureLimit = defaultSignalInterval, defaultFailureLimit
}

func (e *EvidenceTest) setDefaults() {
	e.MaxErrors, e.Margin, e.Tolerance = defaultMaxErrors, defaultMargin, defaultTolerance
}

func (l *LatencyLimit) setDefaults() { l.Percentile = defaultPercentile }

func (r *Rollback) setDefaults() {
	r.Auto, r.OnFailure, r.Secrets = true, OnFailureRollback, SecretsRelease
	r.Scope, r.Lease, r.Ramp = defaultScope, defaultLease, defaultRamp
}

func (r *Retention) setDefaults() { r.Releases = defaultReleases }

func (b *Bootstrap) setDefaults() { b.Allow = defaultAllow() }

func (g *GitHub) setDefaults() { g.API = defaultGitHub }

func (s *S3) setDefaults() { s.Region = defaultRegion }

func (h *Host) setDefaults() { h.Arch = defaultArch }

func (t *Transport) setDefaults() {
	t.Type, t.Timeout = defaultTransport, defaultTimeout
}

// complete fills in what follows from other values, and makes paths absolute.
func (t *Target) complete() {
	t.completeTraffic()
	t.completeService()
	t.completeRollout()
	t.completeSignals()
	if t.Transport.Port == 0 {
		t.Transport.Port = t.Transport.usualPort()
	}
	if t.Transport.Auth == "" {
		t.Transport.Auth = defaultAuth
		if runtime.GOOS == "windows" && t.Transport.User == "" {
			t.Transport.Auth = "sspi" // who runs shipper is logged on already
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

// completeTraffic keeps a preview of which only the port is named on the host.
func (t *Target) completeTraffic() {
	if p := t.Traffic.PreviewPort; p != "" && !strings.Contains(p, ":") {
		t.Traffic.PreviewPort = "127.0.0.1:" + p
	}
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
	known := s.varWords()
	for i, arg := range s.Args {
		s.Args[i] = release.FillSome("", arg, known)
	}
	for name, value := range s.Env {
		s.Env[name] = release.FillSome("", value, known)
	}
	if s.Ports == (Ports{}) && !t.Traffic.shared() { // neighbours would derive the same
		s.Ports = slotPorts(t.Traffic.Listen)
	}
}

// shared reports whether other services may have the same public address.
func (t Traffic) shared() bool { return len(t.Hosts) > 0 || t.Path != "" }

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
	if r.Steps == nil && r.Strategy == "canary" && t.Traffic.Router != "none" {
		r.Steps = defaultSteps()
	}
	if _, written := t.at.places["rollout.keepWarm"]; t.Traffic.Router == "none" && !written {
		r.KeepWarm = 0 // an old worker that goes on working is no way back
	}
	if _, written := t.at.places["rollout.hold"]; t.Traffic.Mode == "tcp" && !written {
		r.Hold = 0 // what is not read is not held
	}
}

func defaultSteps() []Step {
	var steps []Step
	for _, percent := range defaultWeights() {
		weight, pause := release.Weight(percent*100), defaultStepPause
		steps = append(steps, Step{SetWeight: &weight}, Step{Pause: &pause}, Step{Analysis: true})
	}
	return steps
}

func (t *Target) completeSignals() {
	a := &t.Analysis
	if len(a.Signals) == 0 && t.Traffic.Router != "none" {
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
		case s.Prometheus != nil:
			s.Name = "prometheus"
		case s.Web != nil:
			s.Name = "web"
		case s.Exec != nil:
			s.Name = "exec"
		}
		s.completeSources()
		if s.MinRequests == 0 {
			s.MinRequests = a.MinRequests
		}
	}
}

// absolute makes the controller's paths independent of its working folder.
func (t *Target) absolute() {
	dir := filepath.Dir(t.Path)
	for _, p := range []*string{&t.Build.Prebuilt, &t.Build.Dist, &t.Bundles.Folder, &t.Bundles.CA} {
		*p = join(dir, *p)
	}
	t.Transport.absolute(dir)
	if t.Build.Goreleaser != "none" {
		t.Build.Goreleaser = join(dir, t.Build.Goreleaser)
	}
	if filepath.Base(t.Build.Tool) != t.Build.Tool {
		t.Build.Tool = join(dir, t.Build.Tool)
	}
	for i := range t.Service.Files {
		t.Service.Files[i].From = join(dir, t.Service.Files[i].From)
	}
	for i := range t.Bootstrap.Helper.Files {
		t.Bootstrap.Helper.Files[i].Path = join(dir, t.Bootstrap.Helper.Files[i].Path)
	}
	t.absoluteSources(dir)
	t.completeHooks(dir)
	t.absoluteSign(dir)
	for name, ref := range t.Service.Secrets {
		t.Service.Secrets[name] = absoluteRef(dir, ref)
	}
	for _, ref := range t.Bundles.refs() {
		*ref.value = absoluteRef(dir, *ref.value)
	}
}

func (t *Transport) usualPort() int {
	switch {
	case t.Type == "local":
		return 0
	case t.Type == "ssh":
		return defaultPortSSH
	case t.HTTPS:
		return defaultPortHTTPS
	}
	return defaultPort
}

func (t *Transport) absolute(dir string) {
	for _, p := range []*string{&t.CA, &t.Root, &t.Krb5Config, &t.Keytab, &t.CCache, &t.ClientCert} {
		*p = join(dir, *p)
	}
	for _, ref := range []*string{&t.User, &t.Password, &t.Proxy} {
		*ref = absoluteRef(dir, *ref)
	}
	t.SSH.absolute(dir)
	if t.ClientKey = absoluteRef(dir, t.ClientKey); !IsRef(t.ClientKey) {
		t.ClientKey = join(dir, t.ClientKey)
	}
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
