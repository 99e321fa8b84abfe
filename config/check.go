package config

import (
	"fmt"
	"maps"
	"net"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Slots listen below the ports that Windows hands out to clients.
const (
	minSlotPort = 1024
	maxSlotPort = 49151
	maxHosts    = 1000
)

var (
	nameRule   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,80}$`)
	deviceRule = regexp.MustCompile(`(?i)^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$`)
	envRule    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
	varRule    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	targetRule = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9]+$`)
)

// checker looks at one completed target; what it says stands at the place of
// the value in the file.
type checker struct {
	*decoder
	t *Target
}

func (c *checker) all() {
	if !nameRule.MatchString(c.t.Environment) {
		c.report("", "use letters, digits, dot, underscore and dash", "environment name %q is not allowed", shorten(c.t.Environment))
	}
	c.service()
	c.secrets()
	c.files()
	c.build()
	c.traffic()
	c.checks()
	c.rollout()
	c.batches()
	c.analysis()
	c.limits()
	c.windows()
	c.hooks()
	c.hosts()
	c.signatures()
	c.transport()
	c.bundles()
}

func (c *checker) service() {
	s := c.t.Service
	switch {
	case s.Name == "":
		c.problem("service.name", "add name: under service:", "`service.name` is missing")
	case !serviceName(s.Name):
		c.problem("service.name", "use 1 to 80 letters, digits, dots, underscores and dashes; no dot at either end",
			"`service.name`: %q is not allowed", shorten(s.Name))
	}
	if s.Binary != "" && (!nameRule.MatchString(s.Binary) || strings.HasSuffix(strings.ToLower(s.Binary), ".exe")) {
		c.problem("service.binary", "the name only, without folder and .exe", "`service.binary`: %q is not allowed", shorten(s.Binary))
	}
	if (s.StopSignal == "http") != (s.StopURL != "") {
		c.problem("service.stopURL", "stopSignal: http and stopURL: /path belong together", "`service.stopURL` and `service.stopSignal` do not fit")
	}
	if s.StopURL != "" && !strings.HasPrefix(s.StopURL, "/") {
		c.problem("service.stopURL", "write a path on the slot's own port, like /shutdown", "`service.stopURL`: %q is no path", shorten(s.StopURL))
	}
	if len(s.Recovery) > 10 {
		c.problem("service.recovery", "remove some", "`service.recovery`: at most 10 restarts")
	}
	c.positive("service.stopTimeout", s.StopTimeout > 0)
	c.positive("service.startTimeout", s.StartTimeout > 0)
}

// serviceName allows what Windows takes as the name of services and folders
// on its own: no device, no hidden folder, no dot that it would cut off.
func serviceName(s string) bool {
	return nameRule.MatchString(s) && !strings.HasPrefix(s, ".") && !strings.HasSuffix(s, ".") && !deviceRule.MatchString(s)
}

func (c *checker) positive(path string, ok bool) {
	if !ok {
		c.problem(path, "remove the line to get the default", "`%s` must be above 0", path)
	}
}

const nameHint = "use letters, digits and underscores"

// secrets keeps references where they are safe: never in arguments, never in
// the registry key of a native service.
func (c *checker) secrets() {
	s := c.t.Service
	known := slices.Sorted(maps.Keys(s.varWords()))
	for i, arg := range s.Args {
		if hasRef(arg) {
			c.problem(fmt.Sprintf("service.args[%d]", i), "put it under service.secrets; every account on the host can read arguments",
				"`service.args`: a secret must not stand in arguments")
		}
		c.template(fmt.Sprintf("service.args[%d]", i), arg, known...)
	}
	for name, value := range s.Env {
		at := dot("service.env", name)
		if !envRule.MatchString(name) {
			c.problem(at, nameHint, "`service.env`: %q is no name of a variable", shorten(name))
		}
		if hasRef(value) {
			c.problem(at, "move "+name+" to service.secrets", "`%s`: a secret must not stand in env", at)
		}
		c.template(at, value, known...)
	}
	for name, value := range s.Vars {
		at := dot("service.vars", name)
		if !varRule.MatchString(name) {
			c.problem(at, nameHint, "`service.vars`: %q is no name of a variable", shorten(name))
		}
		if hasRef(value) {
			c.problem(at, "move "+name+" to service.secrets, and write {{.Secrets."+name+"}} in a file", "`%s`: a secret must not stand in vars", at)
		}
	}
	for name, ref := range s.Secrets {
		at := dot("service.secrets", name)
		if !envRule.MatchString(name) {
			c.problem(at, nameHint, "`service.secrets`: %q is no name of a variable", shorten(name))
		}
		if _, both := s.Env[name]; both {
			c.problem(at, "remove one of the two", "`%s` stands in service.env too", at)
		}
		c.reference(at, ref)
	}
}

// reference reports a value that must be a reference; the value itself, which
// may be a secret, is never repeated.
func (c *checker) reference(path, ref string) {
	if _, _, err := parseRef(ref); err != nil {
		c.problem(path, "write ${env:NAME} or ${file:PATH}", "`%s`: %v", path, err)
	}
}

func (c *checker) files() {
	seen := map[string]bool{}
	for i, f := range c.t.Service.Files {
		at := fmt.Sprintf("service.files[%d]", i)
		if f.From == "" {
			c.problem(at, "write {from: config/app.json, to: app.json}", "`%s`: from is missing", at)
			continue
		}
		if !filepath.IsLocal(f.To) || path.Clean(f.To) != f.To || strings.ContainsAny(f.To, `\:*?"<>|`) {
			c.problem(at+".to", "write a relative path with slashes", "`%s.to`: %q does not stay inside the release", at, shorten(f.To))
		}
		if key := strings.ToLower(f.To); seen[key] {
			c.problem(at, "give each file a name of its own", "`%s`: two files go to %s", at, f.To)
		} else {
			seen[key] = true
		}
		c.set(at+".set", f)
	}
}

func (c *checker) build() {
	for i, target := range c.t.Build.Targets {
		if !targetRule.MatchString(target) {
			c.problem(fmt.Sprintf("build.targets[%d]", i), "write windows/amd64 or windows/arm64", "`build.targets`: %q is no target", shorten(target))
		}
	}
}

func (c *checker) traffic() {
	listen := c.t.Traffic.Listen
	if c.t.Traffic.Router == "none" {
		if listen != "" {
			c.problem("traffic.listen", "remove traffic.listen, or traffic.router", "`traffic.listen` needs a router")
		}
	} else if listen == "" {
		c.problem("traffic.listen", `add listen: ":8080" under traffic:`, "`traffic.listen` is missing")
	} else if !address(listen) {
		c.problem("traffic.listen", `write ":8080" or "10.0.0.1:8080"`, "`traffic.listen`: %q is no address with a port", shorten(listen))
	}
	c.ports(listen)
	c.public()
	c.watch()
}

// address reports whether s is host:port; the host may be left out.
func address(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.Atoi(port)
	return err == nil && n >= 1 && n <= 65535
}

func (c *checker) ports(listen string) {
	p := c.t.Service.Ports
	if p == (Ports{}) {
		if listen != "" && !c.t.Traffic.shared() {
			return // derived from it, and it is wrong
		}
		c.problem("service.ports", "add ports: {blue: 18080, green: 18081} under service:", "`service.ports` is missing")
		return
	}
	_, public, err := net.SplitHostPort(listen)
	for _, slot := range []struct {
		key  string
		port int
	}{{"service.ports.blue", p.Blue}, {"service.ports.green", p.Green}} {
		switch {
		case slot.port < minSlotPort || slot.port > maxSlotPort:
			c.problem(slot.key, fmt.Sprintf("use a port from %d to %d", minSlotPort, maxSlotPort), "`%s`: %d is not allowed", slot.key, slot.port)
		case err == nil && public == strconv.Itoa(slot.port):
			c.problem(slot.key, "use another port for the slot", "`%s`: %d is the public port too", slot.key, slot.port)
		}
	}
	if p.Blue == p.Green {
		c.problem("service.ports.green", "give each slot a port of its own", "`service.ports.green`: %d is the port of blue too", p.Green)
	}
}

func (c *checker) checks() {
	for i, check := range c.t.Checks {
		at := fmt.Sprintf("checks[%d]", i)
		switch {
		case (check.HTTP != "") == check.TCP:
			c.problem(at, "write {http: /healthz} or {tcp: true}", "`%s`: a check has exactly one of http, tcp", at)
		case check.HTTP != "" && !strings.HasPrefix(check.HTTP, "/"):
			c.problem(at+".http", "write a path on the slot's own port, like /healthz", "`%s.http`: %q is no path", at, shorten(check.HTTP))
		}
		c.positive(at+".interval", check.Interval > 0)
		c.positive(at+".timeout", check.Timeout > 0)
		c.positive(at+".successes", check.Successes > 0)
		c.positive(at+".deadline", check.Deadline > 0)
	}
}

func (c *checker) hosts() {
	if len(c.t.Hosts) == 0 {
		c.problem("hosts", "add hosts: [web1.example.com]", "environment `%s` has no hosts", c.t.Environment)
	}
	if len(c.t.Hosts) > maxHosts {
		c.problem("hosts", "make two environments of it", "environment `%s` has more than %d hosts", c.t.Environment, maxHosts)
	}
	names, addresses := map[string]bool{}, map[string]bool{}
	for i, h := range c.t.Hosts {
		at := fmt.Sprintf("hosts[%d]", i)
		end := strings.ToLower(net.JoinHostPort(h.Address, strconv.Itoa(h.Port)))
		switch {
		case h.Address == "":
			c.problem(at, "write web1.example.com, or {name: web1, address: 10.0.0.1}", "`%s`: address is missing", at)
		case !hostAddress(h.Address):
			c.problem(at, "write a name or an IP address; the port goes to port:", "`%s`: %q is no address of a host", at, shorten(h.Address))
		case names[strings.ToLower(h.Name)]:
			c.problem(at, "give each host a name of its own", "`%s`: host %s is there twice", at, h.Name)
		case addresses[end] && c.t.Transport.Type != "local":
			c.problem(at, "remove one of the two", "`%s`: address %s is there twice", at, h.Address)
		case len(h.Name) > 255:
			c.problem(at+".name", "use a short one", "`%s.name` is too long", at)
		}
		names[strings.ToLower(h.Name)], addresses[end] = true, true
		c.port(at+".port", h.Port)
		c.fingerprint(at+".fingerprint", h.Fingerprint)
		c.hostKey(at+".hostKey", h.HostKey)
	}
}

// hostAddress allows IP addresses and names; no port, no scheme, no spaces.
func hostAddress(s string) bool {
	if net.ParseIP(s) != nil {
		return true
	}
	return s != "" && len(s) <= 255 && !strings.ContainsAny(s, " \t\r\n:/\\@[]{}$?#%")
}

func (c *checker) port(path string, n int) {
	if n < 0 || n > 65535 {
		c.problem(path, "use a port from 1 to 65535", "`%s`: %d is no port", path, n)
	}
}

// hostNames lists the names, sorted.
func (t *Target) hostNames() []string {
	names := make([]string, len(t.Hosts))
	for i, h := range t.Hosts {
		names[i] = h.Name
	}
	slices.Sort(names)
	return names
}
