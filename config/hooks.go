package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/release"
)

// Hook is a program or a webhook that is told at stages of a run: exactly one
// of Exec, Web and Host. What they are told comes by the environment or as JSON.
type Hook struct {
	Name string       `yaml:"name"` // in the journal; default: hook and its number
	On   []string     `yaml:"on" enum:"beforeBuild|afterBuild|beforePush|afterPush|beforeStart|afterStart|beforeShift|afterShift|beforePromote|beforeRollback|promoted|rolledBack|aborted|failed|paused|ended"`
	Exec *Program     `yaml:"exec"`
	Web  *Webhook     `yaml:"web"`
	Host *HostProgram `yaml:"host"`
}

// HostProgram is a program of the release that runs on each host.
type HostProgram struct {
	Command []string          `yaml:"command"` // its path in the release, then arguments
	Env     map[string]string `yaml:"env" scalar:"any"`
	Timeout time.Duration     `yaml:"timeout"`
}

const (
	defaultHostTimeout = time.Minute
	maxHostTimeout     = 10 * time.Minute
)

func (h *HostProgram) setDefaults() { h.Timeout = defaultHostTimeout }

// OnHosts are the stages at which a program of the release can run.
func OnHosts() []string {
	return []string{"beforeStart", "afterStart", "beforeShift", "afterShift", "beforePromote"}
}

// Webhook is an address that gets a POST.
type Webhook struct {
	URL      string            `yaml:"url"`
	Header   map[string]string `yaml:"header"`
	User     string            `yaml:"user"`
	Password string            `yaml:"password"` // a reference
	Token    string            `yaml:"token"`    // a reference; sent as bearer
	CA       string            `yaml:"ca"`
	Timeout  time.Duration     `yaml:"timeout"`
}

const maxHooks = 32

func (w *Webhook) setDefaults() { w.Timeout = defaultSourceTimeout }

// Stops reports whether a run goes no further when the hook fails at stage.
func Stops(stage string) bool {
	return slices.Contains([]string{"beforeBuild", "afterBuild", "beforePush", "afterPush", "beforeStart", "afterStart", "beforeShift", "afterShift", "beforePromote"}, stage)
}

// Question is how the address is reached.
func (w Webhook) Question() WebQuestion {
	return WebQuestion{URL: w.URL, Header: w.Header, User: w.User, Password: w.Password, Token: w.Token, CA: w.CA, Timeout: w.Timeout}
}

func (c *checker) hooks() {
	if len(c.t.Hooks) > maxHooks {
		c.problem("hooks", "let one program do the work of several", "`hooks`: %d are more than %d", len(c.t.Hooks), maxHooks)
	}
	names := map[string]bool{}
	for i, h := range c.t.Hooks {
		at := fmt.Sprintf("hooks[%d]", i)
		switch {
		case h.kinds() != 1:
			c.problem(at, "write exec: {command: [program]}, web: {url: https://…} or host: {command: [migrate.exe]}", "`%s`: a hook has exactly one of exec, web, host", at)
			continue
		case len(h.On) == 0:
			c.problem(at, "write on: [promoted, rolledBack, failed]", "`%s.on` is missing", at)
		case names[h.Name]:
			c.problem(at+".name", "give each hook a name of its own", "`%s`: hook %s is there twice", at, shorten(h.Name))
		}
		names[h.Name] = true
		c.hook(at, h)
	}
}

func (h Hook) kinds() int {
	n := 0
	for _, is := range []bool{h.Exec != nil, h.Web != nil, h.Host != nil} {
		if is {
			n++
		}
	}
	return n
}

// hostHook: what is no part of the release cannot be named, and secrets come
// from service.secrets.
func (c *checker) hostHook(at string, h Hook) {
	p := *h.Host
	switch {
	case len(p.Command) == 0:
		c.problem(at+".host.command", "write command: [migrate.exe, up]", "`%s.host.command` is missing", at)
	case release.CheckPath(p.Command[0]) != nil:
		c.problem(at+".host.command[0]", "name it by its path in the release, like migrate.exe; service.files brings it along", "`%s.host.command`: %v", at, release.CheckPath(p.Command[0]))
	}
	if p.Timeout <= 0 || p.Timeout > maxHostTimeout {
		c.problem(at+".host.timeout", "1m is usual", "`%s.host.timeout`: %v is not between 0 and %v", at, p.Timeout, maxHostTimeout)
	}
	for i, stage := range h.On {
		if !slices.Contains(OnHosts(), stage) {
			c.problem(fmt.Sprintf("%s.on[%d]", at, i), "it may be one of "+strings.Join(OnHosts(), ", "), "`%s.on`: no program of the release runs on hosts at %s", at, stage)
		}
	}
	for i, arg := range p.Command {
		if hasRef(arg) {
			c.problem(fmt.Sprintf("%s.host.command[%d]", at, i), "the program has service.secrets in its environment", "`%s.host.command`: a secret does not belong into arguments", at)
		}
	}
	for name, value := range p.Env {
		if hasRef(value) {
			c.problem(at+".host.env."+name, "put it under service.secrets, which the program has in its environment", "`%s.host.env`: a secret does not belong into plain variables", at)
		}
	}
}

func (c *checker) hook(at string, h Hook) {
	if h.Host != nil {
		c.hostHook(at, h)
		return
	}
	texts := map[string]string{}
	if h.Exec != nil {
		c.program(at+".exec", *h.Exec)
		for i, arg := range h.Exec.Command {
			texts[fmt.Sprintf("%s.exec.command[%d]", at, i)] = arg
		}
	} else {
		c.web(at+".web", h.Web.Question())
		texts[at+".web.url"] = h.Web.URL
		if u, err := url.Parse(h.Web.URL); err == nil && u.Scheme == "http" && (h.Web.Token != "" || h.Web.Password != "") {
			c.problem(at+".web.url", "write https://", "`%s.web.url`: a secret would travel in the clear", at)
		}
	}
	for at, text := range texts {
		if strings.Contains(text, "{{") {
			c.problem(at, "read the environment (SHIPPER_VERSION …) or the JSON that is sent", "`%s`: words are not filled in here", at)
		}
	}
}

// completeHooks names them and makes their files independent of the working
// folder.
func (t *Target) completeHooks(dir string) {
	for i := range t.Hooks {
		h := &t.Hooks[i]
		if h.Name == "" {
			h.Name = fmt.Sprintf("hook %d", i+1)
		}
		if h.Exec != nil {
			references(dir, h.Exec.Env)
		}
		if w := h.Web; w != nil {
			w.CA = join(dir, w.CA)
			w.Token, w.Password = absoluteRef(dir, w.Token), absoluteRef(dir, w.Password)
			references(dir, w.Header)
		}
	}
}
