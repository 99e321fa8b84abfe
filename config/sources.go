package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-shipper/shipper/release"
)

// Prometheus asks a Prometheus server, or what speaks its HTTP API.
type Prometheus struct {
	URL      string            `yaml:"url"`
	Query    string            `yaml:"query"` // gives one value; {{.Slot}} and so on are filled in
	Header   map[string]string `yaml:"header"`
	User     string            `yaml:"user"`
	Password string            `yaml:"password"` // a reference
	Token    string            `yaml:"token"`    // a reference; sent as bearer
	CA       string            `yaml:"ca"`
	Timeout  time.Duration     `yaml:"timeout"`
}

// WebQuestion asks any web service.
type WebQuestion struct {
	URL      string            `yaml:"url"`
	JSON     string            `yaml:"json"` // path of the value; default: the HTTP status is the value
	Header   map[string]string `yaml:"header"`
	User     string            `yaml:"user"`
	Password string            `yaml:"password"` // a reference
	Token    string            `yaml:"token"`    // a reference; sent as bearer
	CA       string            `yaml:"ca"`
	Timeout  time.Duration     `yaml:"timeout"`
}

// Program asks a program where shipper runs.
type Program struct {
	Command []string          `yaml:"command"`
	Env     map[string]string `yaml:"env"` // values may be references
	Timeout time.Duration     `yaml:"timeout"`
}

const (
	defaultSourceTimeout = 10 * time.Second
	maxSourceTimeout     = time.Minute
	defaultErrorLimit    = 4
)

func (p *Prometheus) setDefaults()  { p.Timeout = defaultSourceTimeout }
func (w *WebQuestion) setDefaults() { w.Timeout = defaultSourceTimeout }
func (p *Program) setDefaults()     { p.Timeout = defaultSourceTimeout }

// Asks reports whether the signal's values come from outside the routers.
func (s Signal) Asks() bool { return s.Prometheus != nil || s.Web != nil || s.Exec != nil }

// SourceWords are what {{.Word}} may name in queries, addresses and commands
// of signals.
func SourceWords() []string {
	return []string{".Environment", ".Release", ".Service", ".Slot", ".StableSlot", ".Version"}
}

// conditionRule is what analysis understands.
var conditionRule = regexp.MustCompile(`^\s*(<=|>=|==|!=|<|>)\s*\S.*$`)

// source checks a signal that asks outside.
func (c *checker) source(at string, s Signal) {
	if s.Success == "" && s.Failure == "" {
		c.problem(at, `write success: ">= 99", or failure: "< 95", or both`, "`%s`: success or failure is missing", at)
	}
	for key, text := range map[string]string{"success": s.Success, "failure": s.Failure} {
		if text != "" && !conditionRule.MatchString(text) {
			c.problem(at+"."+key, `write a comparison, like ">= 99" or "> 0.5 and < 2"`, "`%s.%s`: %q is no condition", at, key, shorten(text))
		}
	}
	if s.Count < 0 {
		c.problem(at+".count", "leave it out to measure as long as the step lasts", "`%s.count` must not be negative", at)
	}
	switch {
	case s.Prometheus != nil:
		p := s.Prometheus
		at += ".prometheus"
		c.web(at, WebQuestion{URL: p.URL, Header: p.Header, User: p.User, Password: p.Password, Token: p.Token, Timeout: p.Timeout})
		c.words(at+".query", p.Query)
	case s.Web != nil:
		c.web(at+".web", *s.Web)
	case s.Exec != nil:
		c.program(at+".exec", *s.Exec)
	}
}

func (c *checker) web(at string, w WebQuestion) {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		c.problem(at+".url", "write http://prometheus.example.com:9090", "`%s.url`: %q is no address", at, shorten(w.URL))
	case u.User != nil:
		c.problem(at+".url", "use user and password: ${env:NAME}", "`%s.url`: a password must not stand in the file", at)
	default:
		c.words(at+".url", w.URL)
	}
	for key, secret := range map[string]string{"password": w.Password, "token": w.Token} {
		if secret != "" {
			c.reference(at+"."+key, secret)
		}
	}
	if w.Password != "" && w.User == "" {
		c.problem(at+".user", "add user:, or use token", "`%s.user` is missing", at)
	}
	for name, value := range w.Header {
		if hasRef(value) || secretHeader.MatchString(name) {
			c.reference(at+".header."+name, value)
		}
	}
	c.within(at+".timeout", between(w.Timeout, time.Millisecond, maxSourceTimeout), "at most 1m")
}

// secretHeader are headers whose values must not stand in the file.
var secretHeader = regexp.MustCompile(`(?i)auth|cookie|token|key|secret|password`)

func (c *checker) program(at string, p Program) {
	if len(p.Command) == 0 || p.Command[0] == "" {
		c.problem(at+".command", "write command: [program, argument]", "`%s.command` is missing", at)
	}
	for i, arg := range p.Command {
		c.words(fmt.Sprintf("%s.command[%d]", at, i), arg)
	}
	for name, value := range p.Env {
		if hasRef(value) {
			c.reference(at+".env."+name, value)
		}
	}
	c.within(at+".timeout", between(p.Timeout, time.Millisecond, maxSourceTimeout), "at most 1m")
}

// words refuses secrets in what is shown and logged, and words that nobody
// can fill in.
func (c *checker) words(at, text string) {
	if text == "" {
		c.problem(at, "write it down", "`%s` is missing", at)
		return
	}
	if hasRef(text) {
		c.problem(at, "put it into header, password or env", "`%s`: a secret is not allowed here", at)
		return
	}
	known := map[string]string{}
	for _, w := range SourceWords() {
		known[w] = ""
	}
	if _, err := release.Fill("", text, known); err != nil {
		c.problem(at, "write one of {{"+strings.Join(SourceWords(), "}}, {{")+"}}", "`%s`: %v", at, err)
	}
}

// completeSources fills in the limits of signals that ask outside.
func (s *Signal) completeSources() {
	if !s.Asks() {
		return
	}
	if s.InconclusiveLimit == nil {
		s.InconclusiveLimit = new(int)
	}
	if s.ConsecutiveErrorLimit == nil {
		limit := defaultErrorLimit
		s.ConsecutiveErrorLimit = &limit
	}
}

// absoluteSources makes their files independent of the working folder.
func (t *Target) absoluteSources(dir string) {
	for _, s := range t.Analysis.Signals {
		switch {
		case s.Prometheus != nil:
			s.Prometheus.CA = join(dir, s.Prometheus.CA)
			s.Prometheus.Token = absoluteRef(dir, s.Prometheus.Token)
			s.Prometheus.Password = absoluteRef(dir, s.Prometheus.Password)
			references(dir, s.Prometheus.Header)
		case s.Web != nil:
			s.Web.CA = join(dir, s.Web.CA)
			s.Web.Token = absoluteRef(dir, s.Web.Token)
			s.Web.Password = absoluteRef(dir, s.Web.Password)
			references(dir, s.Web.Header)
		case s.Exec != nil:
			references(dir, s.Exec.Env)
		}
	}
}

func references(dir string, values map[string]string) {
	for name, value := range values {
		values[name] = absoluteRef(dir, value)
	}
}
