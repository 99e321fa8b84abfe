// Package config is shipper.yaml: its types, strict loading, defaults,
// validation with line and column, and its JSON schema.
package config

import (
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/go-shipper/shipper/release"
)

// File is the whole of shipper.yaml as it is written. The tags are the one
// description of its shape: yaml is the key, enum lists the values allowed,
// scalar:"any" takes numbers and booleans as the text they are written with.
type File struct {
	Path         string                  `yaml:"-"`
	Service      Service                 `yaml:"service"`
	Build        Build                   `yaml:"build"`
	Traffic      Traffic                 `yaml:"traffic"`
	Checks       []Check                 `yaml:"checks"`
	Rollout      Rollout                 `yaml:"rollout"`
	Analysis     Analysis                `yaml:"analysis"`
	Rollback     Rollback                `yaml:"rollback"`
	Windows      Windows                 `yaml:"windows"`
	Hooks        []Hook                  `yaml:"hooks"`
	Retention    Retention               `yaml:"retention"`
	Bootstrap    Bootstrap               `yaml:"bootstrap"`
	Bundles      Bundles                 `yaml:"bundles"`
	Package      Package                 `yaml:"package"`
	Sign         Sign                    `yaml:"sign"`
	Attest       Attest                  `yaml:"attest"`
	Trust        Trust                   `yaml:"trust"`
	Environments map[string]*Environment `yaml:"environments"`

	targets map[string]Target
}

// Target is the configuration of one environment, overrides merged (maps
// merge, lists replace) and defaults filled in: what every verb works on.
// All paths of the controller's side in it are absolute.
type Target struct {
	Path        string    `yaml:"-"` // of shipper.yaml
	Environment string    `yaml:"-"`
	Service     Service   `yaml:"service"`
	Build       Build     `yaml:"build"`
	Traffic     Traffic   `yaml:"traffic"`
	Checks      []Check   `yaml:"checks"`
	Rollout     Rollout   `yaml:"rollout"`
	Analysis    Analysis  `yaml:"analysis"`
	Rollback    Rollback  `yaml:"rollback"`
	Windows     Windows   `yaml:"windows"`
	Hooks       []Hook    `yaml:"hooks"`
	Retention   Retention `yaml:"retention"`
	Bootstrap   Bootstrap `yaml:"bootstrap"`
	Bundles     Bundles   `yaml:"bundles"`
	Package     Package   `yaml:"package"`
	Sign        Sign      `yaml:"sign"`
	Attest      Attest    `yaml:"attest"`
	Trust       Trust     `yaml:"trust"`
	Hosts       []Host    `yaml:"hosts"`
	Transport   Transport `yaml:"transport"`
	Requires    Requires  `yaml:"requires"`
	at          positions // of every value, for problems found later
}

// Service describes the program and the Windows services that run it.
type Service struct {
	Name         string            `yaml:"name"`
	DisplayName  string            `yaml:"displayName"`
	Description  string            `yaml:"description"`
	Mode         string            `yaml:"mode" enum:"native|console"`
	Binary       string            `yaml:"binary"` // name of the executable, without .exe; default: name
	Args         []string          `yaml:"args" scalar:"any"`
	Env          map[string]string `yaml:"env" scalar:"any"`
	Secrets      map[string]string `yaml:"secrets"`           // NAME: ${env:…} | ${file:…}
	Vars         map[string]string `yaml:"vars" scalar:"any"` // what {{.Vars.NAME}} stands for
	Files        []FileRef         `yaml:"files"`
	Account      string            `yaml:"account"` // empty: the slot's virtual account
	Dependencies []string          `yaml:"dependencies"`
	Recovery     []time.Duration   `yaml:"recovery"`
	StopTimeout  time.Duration     `yaml:"stopTimeout"`
	StopSignal   string            `yaml:"stopSignal" enum:"ctrl-break|ctrl-c|stdin-close|http|kill"`
	StopURL      string            `yaml:"stopURL"`
	StartTimeout time.Duration     `yaml:"startTimeout"`
	Data         string            `yaml:"data" enum:"shared|perSlot|exclusive"` // whether two instances may have it at a time
	Ports        Ports             `yaml:"ports"`
}

// FileRef is a file that travels beside the executable, in the bundle; or one
// that belongs to the revision, if it is a template or values are set in it.
type FileRef struct {
	From     string `yaml:"from"`
	To       string `yaml:"to"` // relative, slashes; default: the name of From
	Template bool   `yaml:"template"`
	Set      Values `yaml:"set"` // laid over a JSON, YAML or TOML file
}

// Rendered reports whether the file belongs to the revision.
func (f FileRef) Rendered() bool { return f.Template || f.Set.node != nil }

// Values are a map of any values, as they are written.
type Values struct{ node *yaml.Node }

// Ports are the fixed loopback ports of the slots. Default: the public port
// plus 10000 and plus 10001.
type Ports struct {
	Blue  int `yaml:"blue"`
	Green int `yaml:"green"`
}

// Build says how the executables are made. Goreleaser empty: GoReleaser if
// there is a .goreleaser.yaml and a GoReleaser, else plain go build.
type Build struct {
	Goreleaser string   `yaml:"goreleaser"` // path of the configuration, or "none"
	Tool       string   `yaml:"tool"`       // path or name of the goreleaser executable
	Package    string   `yaml:"package"`    // main package for the native builder, default "."
	Ldflags    string   `yaml:"ldflags"`
	Targets    []string `yaml:"targets"` // windows/amd64 …; default: what the hosts of all environments need
	Prebuilt   string   `yaml:"prebuilt"`
	Dist       string   `yaml:"dist"` // default dist
	Resource   Resource `yaml:"resource"`
}

// Traffic says who serves the public address.
type Traffic struct {
	Router       string        `yaml:"router" enum:"embedded|none"`
	Listen       string        `yaml:"listen" scalar:"any"` // public address, ":8080" or "10.0.0.1:8080"
	DrainTimeout time.Duration `yaml:"drainTimeout"`
	TunnelGrace  time.Duration `yaml:"tunnelGrace"` // 0: half of DrainTimeout
	Firewall     bool          `yaml:"firewall"`    // open the public port
	Boot         string        `yaml:"boot" enum:"hold|refuse"`

	Hosts          []string `yaml:"hosts"` // names, *.example.com too; none: all
	Path           string   `yaml:"path"`  // prefix; empty: all
	Mode           string   `yaml:"mode" enum:"http|tcp"`
	Speak          string   `yaml:"speak" enum:"http1|h2c"` // of the instances
	TLS            TLS      `yaml:"tls"`                    // no certificates: none
	Sticky         Sticky   `yaml:"sticky"`
	Match          Match    `yaml:"match"`
	TrustedProxies []string `yaml:"trustedProxies"` // addresses and networks

	Health    Health        `yaml:"health"` // zero: no checks
	Outlier   Outlier       `yaml:"outlier"`
	SlowStart time.Duration `yaml:"slowStart"`
	ClientKey ClientKey     `yaml:"clientKey"`
	AccessLog AccessLog     `yaml:"accessLog"`
	Metrics   string        `yaml:"metrics"` // address for Prometheus; empty: none

	PreviewPort     string `yaml:"previewPort" scalar:"any"` // or address, of the new release alone; empty: none
	PreviewFirewall bool   `yaml:"previewFirewall"`          // open that port too
}

// Health is checks that go on while a slot has traffic: HTTP or TCP.
type Health struct {
	HTTP     string        `yaml:"http"` // path
	TCP      bool          `yaml:"tcp"`
	Interval time.Duration `yaml:"interval"`
	Timeout  time.Duration `yaml:"timeout"`
	Rise     int           `yaml:"rise"`
	Fall     int           `yaml:"fall"`
}

// Outlier takes a canary out of use by what it answers.
type Outlier struct {
	Failures int           `yaml:"failures"` // in a row; 0: never
	Window   time.Duration `yaml:"window"`
	Eject    time.Duration `yaml:"eject"`
	MaxEject time.Duration `yaml:"maxEject"`
}

// ClientKey tells clients apart; without one their address does.
type ClientKey struct {
	Cookie string `yaml:"cookie"`
	Header string `yaml:"header"`
}

// AccessLog is a line per request, on the host.
type AccessLog struct {
	Enabled bool          `yaml:"enabled"`
	MaxMB   int           `yaml:"maxMB"` // of one file
	MaxAge  time.Duration `yaml:"maxAge"`
	Keep    int           `yaml:"keep"` // files beside the current one
}

// TLS ends at the router.
type TLS struct {
	Certificates []Certificate `yaml:"certificates"` // the first is for who names no host
}

// Certificate is two files on the host, or one of LocalMachine\My there.
type Certificate struct {
	Cert       string `yaml:"cert"`
	Key        string `yaml:"key"`
	Thumbprint string `yaml:"thumbprint" scalar:"any"`
	Subject    string `yaml:"subject"`
}

// Sticky is at most one of Cookie, Header and Address.
type Sticky struct {
	Cookie  string `yaml:"cookie"`
	Header  string `yaml:"header"`
	Address bool   `yaml:"address"`
}

// Match lets clients choose their slot.
type Match struct {
	Header string   `yaml:"header"`
	Cookie string   `yaml:"cookie"`
	Values []string `yaml:"values"` // choose the canary; default: always
	Allow  []string `yaml:"allow"`  // addresses and networks that may choose
}

// Check is a smoke check: exactly one of HTTP and TCP.
type Check struct {
	HTTP      string        `yaml:"http"` // path
	TCP       bool          `yaml:"tcp"`
	Interval  time.Duration `yaml:"interval"`
	Timeout   time.Duration `yaml:"timeout"`
	Successes int           `yaml:"successes"` // in a row
	Deadline  time.Duration `yaml:"deadline"`  // for the whole check
}

// Rollout says how traffic moves.
type Rollout struct {
	Strategy         string        `yaml:"strategy" enum:"canary|blue-green|rolling|recreate"`
	Steps            []Step        `yaml:"steps"`
	LaterSteps       []Step        `yaml:"laterSteps"`     // nil: the last weight below 100 and one analysis
	Batches          []Batch       `yaml:"batches"`        // Target.Batches tells whom they are; default: one batch of all
	MaxParallel      Amount        `yaml:"maxParallel"`    // hosts that are pushed to and started at a time; 0: all
	MaxUnavailable   Amount        `yaml:"maxUnavailable"` // hosts that rolling and recreate change at a time
	FailureBudget    Amount        `yaml:"failureBudget"`  // hosts that may fail and are left behind
	Unreachable      string        `yaml:"unreachable" enum:"fail|skip|quorum"`
	OnConcurrent     string        `yaml:"onConcurrent" enum:"reject|queue|supersede"` // what another run's lock means to a deploy
	HotfixSteps      []Step        `yaml:"hotfixSteps"`                                // of deploy --hotfix; nil: LaterSteps
	Quorum           Amount        `yaml:"quorum"`                                     // hosts that must answer; of unreachable: quorum
	FastTrack        time.Duration `yaml:"fastTrack"`                                  // going back to what was stable so long ago leaves the steps out; 0: never
	Hold             time.Duration `yaml:"hold"`                                       // how long requests wait while recreate changes a host
	ProgressDeadline time.Duration `yaml:"progressDeadline"`
	Bake             time.Duration `yaml:"bake"`
	KeepWarm         time.Duration `yaml:"keepWarm"`
	ParkFor          time.Duration `yaml:"parkFor"`
}

// Step is exactly one of SetWeight, Pause and Analysis. It is written as
// `{setWeight: 5}`, `{pause: 30s}`, `{pause: {duration: 30s}}`, `{pause: {}}`
// or `{analysis: true}`.
type Step struct {
	SetWeight *release.Weight `yaml:"setWeight"` // percent, two decimals
	Pause     *time.Duration  `yaml:"pause"`     // {} or 0: until promoted
	Analysis  bool            `yaml:"analysis"`
}

// Analysis says how canary is judged against stable.
type Analysis struct {
	Signals            []Signal      `yaml:"signals"` // default: evidence
	Alpha              float64       `yaml:"alpha"`   // chance that evidence takes a good release back, in the whole run
	MinRequests        int64         `yaml:"minRequests"`
	MaxWait            time.Duration `yaml:"maxWait"` // for enough requests in a step
	OnInsufficientData string        `yaml:"onInsufficientData" enum:"pause|extend|fail|promoteWithoutEvidence"`
	Limits             UsageLimits   `yaml:"limits"`
	StartingStep       int           `yaml:"startingStep"` // of rollout.steps, from 0: signals count from there on
}

// UsageLimits bound what a new release uses of a host; 0 is no limit.
type UsageLimits struct {
	CPU          float64 `yaml:"cpu"` // processors
	WorkingSetMB int64   `yaml:"workingSetMB"`
	Handles      int64   `yaml:"handles"`
}

// Signal judges the canary: exactly one of Evidence and the limits Errors and
// Latency, which take the routers' counters, and of what is asked outside.
type Signal struct {
	Name         string        `yaml:"name"` // default: what it is
	Evidence     *EvidenceTest `yaml:"evidence"`
	Errors       *ErrorLimit   `yaml:"errors"`
	Latency      *LatencyLimit `yaml:"latency"`
	Prometheus   *Prometheus   `yaml:"prometheus"`
	Web          *WebQuestion  `yaml:"web"`
	Exec         *Program      `yaml:"exec"`
	Success      string        `yaml:"success"` // a condition, of what is asked outside
	Failure      string        `yaml:"failure"` // another; what is neither is inconclusive
	Interval     time.Duration `yaml:"interval"`
	Count        int           `yaml:"count"`        // measurements of a step; 0: as long as it lasts
	FailureLimit int           `yaml:"failureLimit"` // failed measurements tolerated
	MinRequests  int64         `yaml:"minRequests"`  // default: that of analysis
	DryRun       bool          `yaml:"dryRun"`

	InconclusiveLimit     *int `yaml:"inconclusiveLimit"`     // inconclusive measurements tolerated; nil: any number
	ConsecutiveErrorLimit *int `yaml:"consecutiveErrorLimit"` // errors in a row tolerated; nil: any number
	StartingStep          *int `yaml:"startingStep"`          // default: that of analysis
}

// EvidenceTest compares the canary's errors and latency with stable's at the
// same time, as odds.
type EvidenceTest struct {
	MaxErrors float64 `yaml:"maxErrors"` // a step passes when less of the canary's requests is shown to fail
	Margin    float64 `yaml:"margin"`    // this times stable's share of errors is as good
	Tolerance float64 `yaml:"tolerance"` // slower by this share is as good
}

// ErrorLimit bounds the share of failed requests: 0.01 is one percent. A
// limit of 0 does not hold.
type ErrorLimit struct {
	Max   float64 `yaml:"max"`   // absolute
	Above float64 `yaml:"above"` // above stable's
}

// LatencyLimit bounds a percentile. A limit of 0 does not hold.
type LatencyLimit struct {
	Percentile float64       `yaml:"percentile"` // 0.99
	Max        time.Duration `yaml:"max"`
	Factor     float64       `yaml:"factor"` // times stable's
}

// Rollback says what happens when a signal fails.
type Rollback struct {
	Auto      bool   `yaml:"auto"` // false: onFailure pause
	OnFailure string `yaml:"onFailure" enum:"rollback|freeze|pause"`

	Secrets string `yaml:"secrets" enum:"release|current"` // that a release runs with which the fleet goes back to

	Irreversible bool `yaml:"irreversible"` // there is no way back behind this release

	Scope string        `yaml:"scope" enum:"fleet|batch|host"`
	Lease time.Duration `yaml:"lease"`
	Ramp  time.Duration `yaml:"ramp"` // for how long a release that was stopped gets its traffic in steps
}

// Retention says what a host keeps.
type Retention struct {
	Releases int `yaml:"releases"`
}

// Bootstrap says how the helper may get to a host.
type Bootstrap struct {
	Allow  []string     `yaml:"allow" enum:"tar|powershell|certutil"`
	Helper HelperChoice `yaml:"helper"` // default: the one shipper carries
}

// HelperChoice is another helper than the one that shipper carries: signed by
// the user, or on the hosts already. It is written as `preinstalled`, as one
// file, or as a list of files, one for each architecture.
type HelperChoice struct {
	Preinstalled bool // shipper places none
	Files        []HelperFile
}

// HelperFile is a build of shipper-host on the controller's side.
type HelperFile struct {
	Path   string `yaml:"path"`
	SHA256 string `yaml:"sha256"`
}

// Bundles says where bundles are kept for others to find: at most one of
// Folder, URL, GitHub and S3; default: the folder that builds write to.
type Bundles struct {
	Folder string  `yaml:"folder"`
	URL    string  `yaml:"url"`   // a folder on a web server, with checksums.txt
	Token  string  `yaml:"token"` // for url; a reference
	Pull   bool    `yaml:"pull"`  // hosts fetch from url themselves
	GitHub *GitHub `yaml:"github"`
	S3     *S3     `yaml:"s3"`
	CA     string  `yaml:"ca"` // PEM file
}

// GitHub is the files of a repository's releases.
type GitHub struct {
	Repository string `yaml:"repository"` // owner/name
	Token      string `yaml:"token"`      // a reference
	API        string `yaml:"api"`        // default https://api.github.com
}

// S3 is a bucket of any store that speaks S3.
type S3 struct {
	Endpoint     string `yaml:"endpoint"` // default: Amazon's, by region
	Region       string `yaml:"region"`
	Bucket       string `yaml:"bucket"`
	Prefix       string `yaml:"prefix"`
	AccessKey    string `yaml:"accessKey"` // a reference, like the next two
	SecretKey    string `yaml:"secretKey"`
	SessionToken string `yaml:"sessionToken"`
}

// Package says which packages for other tools are made beside a bundle.
type Package struct {
	MSI          bool   `yaml:"msi"`
	Manufacturer string `yaml:"manufacturer"` // default: the service's name
}

// Environment names hosts and overrides what may differ between environments.
type Environment struct {
	Hosts     []Host          `yaml:"hosts"`
	Transport Transport       `yaml:"transport"`
	Requires  Requires        `yaml:"requires"`
	Service   ServiceOverride `yaml:"service"`
	Traffic   Traffic         `yaml:"traffic"`
	Checks    []Check         `yaml:"checks"`
	Rollout   Rollout         `yaml:"rollout"`
	Analysis  Analysis        `yaml:"analysis"`
	Rollback  Rollback        `yaml:"rollback"`
	Windows   Windows         `yaml:"windows"`
	Hooks     []Hook          `yaml:"hooks"`
	Trust     Trust           `yaml:"trust"`
}

// Requires is what a release must have been through before an environment
// takes it: stable on all hosts of another one, for so long.
type Requires struct {
	Environment string        `yaml:"environment"`
	For         time.Duration `yaml:"for"`
}

// ServiceOverride is what an environment may say about the service. Its
// bytes and its name are the same everywhere.
type ServiceOverride struct {
	Args    []string          `yaml:"args" scalar:"any"`
	Env     map[string]string `yaml:"env" scalar:"any"`
	Vars    map[string]string `yaml:"vars" scalar:"any"`
	Account string            `yaml:"account"`
	Files   []FileRef         `yaml:"files"`
}

// Host is one Windows machine, written as its address or as a map.
type Host struct {
	Name        string            `yaml:"name"` // default: address
	Address     string            `yaml:"address"`
	Port        int               `yaml:"port"` // 0: the transport's
	Arch        string            `yaml:"arch" enum:"amd64|arm64"`
	Fingerprint string            `yaml:"fingerprint"` // of the host's certificate; default: that of the transport
	HostKey     string            `yaml:"hostKey"`     // ssh: SHA256:…; default: that of the transport
	Tags        map[string]string `yaml:"tags" scalar:"any"`
}

// Transport says how hosts are reached.
type Transport struct {
	Type        string        `yaml:"type" enum:"winrm|ssh|local"`
	SSH         SSH           `yaml:"ssh"`
	HTTPS       bool          `yaml:"https"`
	Port        int           `yaml:"port"`                                             // default 5985, 5986 with https
	Auth        string        `yaml:"auth" enum:"ntlm|kerberos|basic|certificate|sspi"` // default ntlm; on Windows without a user sspi
	User        string        `yaml:"user"`                                             // or a reference
	Password    string        `yaml:"password"`                                         // a reference: ${env:…} or ${file:…}
	Realm       string        `yaml:"realm"`                                            // kerberos: of user, default: what follows its @
	SPN         string        `yaml:"spn"`                                              // kerberos: HTTP, or HTTP/{name}.corp.example
	Krb5Config  string        `yaml:"krb5Config"`                                       // kerberos: krb5.conf
	Keytab      string        `yaml:"keytab"`                                           // kerberos: file, instead of a password
	CCache      string        `yaml:"ccache"`                                           // kerberos: file, where somebody has logged on already
	ClientCert  string        `yaml:"clientCert"`                                       // certificate: PEM file with its chain
	ClientKey   string        `yaml:"clientKey"`                                        // certificate: PEM file, or a reference
	CA          string        `yaml:"ca"`                                               // PEM file
	Fingerprint string        `yaml:"fingerprint"`                                      // of the hosts' certificate
	Insecure    bool          `yaml:"insecure"`
	Proxy       string        `yaml:"proxy"`   // env, http://HOST:PORT, or a reference to it
	Timeout     time.Duration `yaml:"timeout"` // to connect
	Root        string        `yaml:"root"`    // local: folder instead of Program Files and ProgramData
}
