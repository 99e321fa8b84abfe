// Package config is shipper.yaml: its types, strict loading, defaults,
// validation with line and column, and its JSON schema.
package config

import (
	"time"

	"github.com/go-shipper/shipper/release"
)

// File is the whole of shipper.yaml, after loading and defaults.
type File struct {
	Path         string                  `yaml:"-"`
	Service      Service                 `yaml:"service"`
	Build        Build                   `yaml:"build"`
	Traffic      Traffic                 `yaml:"traffic"`
	Checks       []Check                 `yaml:"checks"`
	Rollout      Rollout                 `yaml:"rollout"`
	Analysis     Analysis                `yaml:"analysis"`
	Rollback     Rollback                `yaml:"rollback"`
	Retention    Retention               `yaml:"retention"`
	Bootstrap    Bootstrap               `yaml:"bootstrap"`
	Environments map[string]*Environment `yaml:"environments"`
}

// Target is the configuration of one environment, overrides merged (maps
// merge, lists replace): what every verb works on.
type Target struct {
	Path        string // of shipper.yaml
	Environment string
	Service     Service
	Build       Build
	Traffic     Traffic
	Checks      []Check
	Rollout     Rollout
	Analysis    Analysis
	Rollback    Rollback
	Retention   Retention
	Bootstrap   Bootstrap
	Hosts       []Host
	Transport   Transport
}

// Service describes the program and the Windows services that run it.
type Service struct {
	Name         string            `yaml:"name"`
	DisplayName  string            `yaml:"displayName"`
	Description  string            `yaml:"description"`
	Mode         string            `yaml:"mode"`   // native | console
	Binary       string            `yaml:"binary"` // name of the executable, without .exe
	Args         []string          `yaml:"args"`
	Env          map[string]string `yaml:"env"`
	Secrets      map[string]string `yaml:"secrets"` // NAME: ${env:…} | ${file:…}
	Files        []FileRef         `yaml:"files"`
	Account      string            `yaml:"account"`
	Dependencies []string          `yaml:"dependencies"`
	Recovery     []time.Duration   `yaml:"recovery"`
	StopTimeout  time.Duration     `yaml:"stopTimeout"`
	StopSignal   string            `yaml:"stopSignal"`
	StopURL      string            `yaml:"stopURL"`
	StartTimeout time.Duration     `yaml:"startTimeout"`
	Ports        Ports             `yaml:"ports"`
}

// FileRef is a file that travels beside the executable.
type FileRef struct {
	From     string `yaml:"from"`
	To       string `yaml:"to"`
	Template bool   `yaml:"template"`
}

// Ports are the fixed loopback ports of the slots.
type Ports struct {
	Blue  int `yaml:"blue"`
	Green int `yaml:"green"`
}

// Build says how the executables are made. Goreleaser empty and Native false:
// GoReleaser if there is a .goreleaser.yaml and a GoReleaser, else native.
type Build struct {
	Goreleaser string   `yaml:"goreleaser"` // path of the configuration, or "none"
	Tool       string   `yaml:"tool"`       // path of the goreleaser executable
	Package    string   `yaml:"package"`    // main package for the native builder, default "."
	Ldflags    string   `yaml:"ldflags"`
	Targets    []string `yaml:"targets"` // windows/amd64, windows/arm64
	Prebuilt   string   `yaml:"prebuilt"`
	Dist       string   `yaml:"dist"` // default dist
}

// Traffic says who serves the public address.
type Traffic struct {
	Router       string        `yaml:"router"` // embedded | none
	Listen       string        `yaml:"listen"` // public address, ":8080" or "10.0.0.1:8080"
	DrainTimeout time.Duration `yaml:"drainTimeout"`
	Boot         string        `yaml:"boot"` // hold | refuse
}

// Check is a smoke check: exactly one of HTTP and TCP.
type Check struct {
	HTTP      string        `yaml:"http"` // path
	TCP       bool          `yaml:"tcp"`
	Interval  time.Duration `yaml:"interval"`
	Timeout   time.Duration `yaml:"timeout"`
	Successes int           `yaml:"successes"`
	Deadline  time.Duration `yaml:"deadline"`
}

// Rollout says how traffic moves.
type Rollout struct {
	Strategy         string        `yaml:"strategy"` // canary | blue-green
	Steps            []Step        `yaml:"steps"`
	LaterSteps       []Step        `yaml:"laterSteps"`
	Batches          [][]string    `yaml:"batches"` // host names
	ProgressDeadline time.Duration `yaml:"progressDeadline"`
	Bake             time.Duration `yaml:"bake"`
	KeepWarm         time.Duration `yaml:"keepWarm"`
	ParkFor          time.Duration `yaml:"parkFor"`
}

// Step is exactly one of SetWeight, Pause and Analysis.
type Step struct {
	SetWeight *release.Weight // percent, two decimals
	Pause     *time.Duration  // {} or 0: until promoted
	Analysis  bool
}

// Analysis says how canary is judged against stable.
type Analysis struct {
	Signals            []Signal      `yaml:"signals"`
	MinRequests        int64         `yaml:"minRequests"`
	MaxWait            time.Duration `yaml:"maxWait"` // for enough requests in a step
	OnInsufficientData string        `yaml:"onInsufficientData"`
}

// Signal is a limit on errors or latency of the canary, from the router's counters.
type Signal struct {
	Name         string        `yaml:"name"`
	Errors       *ErrorLimit   `yaml:"errors"`
	Latency      *LatencyLimit `yaml:"latency"`
	Interval     time.Duration `yaml:"interval"`
	FailureLimit int           `yaml:"failureLimit"`
	MinRequests  int64         `yaml:"minRequests"`
	DryRun       bool          `yaml:"dryRun"`
}

// ErrorLimit bounds the share of failed requests: 0.01 is one percent.
type ErrorLimit struct {
	Max   float64 `yaml:"max"`   // absolute
	Above float64 `yaml:"above"` // above stable's
}

// LatencyLimit bounds a percentile.
type LatencyLimit struct {
	Percentile float64       `yaml:"percentile"` // 0.99
	Max        time.Duration `yaml:"max"`
	Factor     float64       `yaml:"factor"` // times stable's
}

// Rollback says what happens when a signal fails.
type Rollback struct {
	Auto  bool          `yaml:"auto"`
	Scope string        `yaml:"scope"` // fleet | batch | host
	Lease time.Duration `yaml:"lease"`
}

// Retention says what a host keeps.
type Retention struct {
	Releases int `yaml:"releases"`
}

// Bootstrap says how the helper may get to a host.
type Bootstrap struct {
	Allow []string `yaml:"allow"` // tar, powershell
}

// Environment names hosts and overrides.
type Environment struct {
	Hosts     []Host    `yaml:"hosts"`
	Transport Transport `yaml:"transport"`
}

// Host is one Windows machine. Name defaults to Address.
type Host struct {
	Name    string            `yaml:"name"`
	Address string            `yaml:"address"`
	Port    int               `yaml:"port"` // 0: the transport's
	Arch    string            `yaml:"arch"` // amd64 | arm64, default amd64
	Tags    map[string]string `yaml:"tags"`
}

// Transport says how hosts are reached.
type Transport struct {
	Type     string        `yaml:"type"` // winrm | local
	HTTPS    bool          `yaml:"https"`
	Port     int           `yaml:"port"` // 0: 5985, 5986 with https
	Auth     string        `yaml:"auth"` // ntlm | basic
	User     string        `yaml:"user"`
	Password string        `yaml:"password"` // a reference: ${env:…} or ${file:…}
	CA       string        `yaml:"ca"`
	Insecure bool          `yaml:"insecure"`
	Timeout  time.Duration `yaml:"timeout"`
	Root     string        `yaml:"root"` // local: folder instead of Program Files and ProgramData
}
