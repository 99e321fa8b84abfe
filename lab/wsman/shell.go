package wsman

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"
)

// defaultIdle is how long a shell that asked for nothing else may be idle.
const defaultIdle = 7200 * time.Second

// shells are the open shells of the host.
type shells struct {
	runner Runner
	limits Limits

	mu   sync.Mutex
	open map[string]*shell
}

func newShells(r Runner, l Limits) *shells {
	return &shells{runner: r, limits: l, open: map[string]*shell{}}
}

// shell is one shell and its commands.
type shell struct {
	id, owner, client, name string
	dir                     string
	env                     []string
	idle                    time.Duration
	created                 time.Time
	context                 context.Context // ends with the shell
	end                     context.CancelFunc

	mu       sync.Mutex
	commands map[string]*command
	started  int // all commands so far: they count until the shell closes
	active   int // operations in progress
	lastUsed time.Time
	reaper   *time.Timer
}

func (s *shells) create(body *element, c call) (*shell, error) {
	now := time.Now()
	sh := &shell{
		id: newGUID(), owner: c.user, client: c.from, name: body.value(nsShell, "Name"),
		dir: body.value(nsShell, "WorkingDirectory"), idle: defaultIdle,
		created: now, lastUsed: now, commands: map[string]*command{},
	}
	if text := body.value(nsShell, "IdleTimeOut"); text != "" {
		d, err := parseDuration(text)
		if err != nil || d <= 0 {
			return nil, faultf(faultParameter, "the IdleTimeOut %q is not valid", text)
		}
		sh.idle = d
	}
	if env := body.child(nsShell, "Environment"); env != nil {
		for _, v := range env.children {
			sh.env = append(sh.env, v.attributes["Name"]+"="+v.content())
		}
	}
	sh.context, sh.end = context.WithCancel(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openOf(c.user) >= s.limits.Shells {
		sh.end()
		return nil, faultf(faultShells, "the service allows %d concurrent shells for this user; close some and try again", s.limits.Shells)
	}
	s.open[sh.id] = sh
	sh.reaper = time.AfterFunc(sh.idle, func() { s.reap(sh) })
	return sh, nil
}

func (s *shells) openOf(user string) int {
	n := 0
	for _, sh := range s.open {
		if strings.EqualFold(sh.owner, user) {
			n++
		}
	}
	return n
}

// reap removes a shell that nobody has used for its idle time.
func (s *shells) reap(sh *shell) {
	sh.mu.Lock()
	left := sh.idle - time.Since(sh.lastUsed)
	if sh.active > 0 {
		left = sh.idle
	}
	if left > 0 {
		sh.reaper.Reset(left)
		sh.mu.Unlock()
		return
	}
	sh.mu.Unlock()
	s.remove(sh)
}

// enter finds a shell and begins an operation in it.
func (s *shells) enter(id string) (*shell, error) {
	s.mu.Lock()
	sh := s.open[strings.ToUpper(id)]
	s.mu.Unlock()
	if sh == nil {
		return nil, faultf(faultNoShell, "the request contains invalid selectors: there is no shell %q", id)
	}
	sh.mu.Lock()
	sh.active++
	sh.lastUsed = time.Now()
	sh.mu.Unlock()
	return sh, nil
}

// leave ends an operation.
func (sh *shell) leave() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.active--
	sh.lastUsed = time.Now()
}

// remove closes a shell; its processes die with it.
func (s *shells) remove(sh *shell) {
	s.mu.Lock()
	delete(s.open, sh.id)
	s.mu.Unlock()
	sh.reaper.Stop()
	sh.end()
	sh.mu.Lock()
	commands := sh.commands
	sh.commands = map[string]*command{}
	sh.mu.Unlock()
	for _, c := range commands {
		c.terminate()
	}
}

func (s *shells) closeAll() {
	s.mu.Lock()
	all := s.open
	s.open = map[string]*shell{}
	s.mu.Unlock()
	for _, sh := range all {
		s.remove(sh)
	}
}

func (s *shells) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// list is the answer to an optimized enumeration: all at once, as to an
// account that sees its own.
func (s *shells) list(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var items strings.Builder
	for _, sh := range s.open {
		if strings.EqualFold(sh.owner, user) {
			items.WriteString(sh.describe())
		}
	}
	return `<n:EnumerateResponse xmlns:n="` + nsEnumerate + `"><n:EnumerationContext/><w:Items>` + items.String() + `</w:Items><w:EndOfSequence/></n:EnumerateResponse>`
}

var guid = regexp.MustCompile(`^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$`)

// start runs a command in a shell, under the client's id if it gave a good one.
func (s *shells) start(ctx context.Context, sh *shell, id string, want Command, console bool) (*command, error) {
	if s.operations(sh.owner) >= s.limits.Operations {
		return nil, faultf(faultOperations, "the service allows %d concurrent operations for this user", s.limits.Operations)
	}
	if !guid.MatchString(id) {
		id = newGUID()
	}
	c := newCommand(id, console)
	if err := sh.reserve(c); err != nil {
		return nil, err
	}
	p, err := s.runner.Start(ctx, want)
	if err != nil {
		sh.drop(c)
		if errors.Is(err, ErrNoFile) {
			return nil, faultf(faultNoFile, "%v", err)
		}
		return nil, fmt.Errorf("start command: %w", err)
	}
	c.run(p)
	if sh.context.Err() != nil { // closed meanwhile
		c.terminate()
		return nil, faultf(faultAborted, "the shell was closed")
	}
	return c, nil
}

func (s *shells) operations(user string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, sh := range s.open {
		if strings.EqualFold(sh.owner, user) {
			sh.mu.Lock()
			n += sh.started
			sh.mu.Unlock()
		}
	}
	return n
}

// reserve takes the id before the process exists.
func (sh *shell) reserve(c *command) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.commands[c.id] != nil {
		return faultf(faultParameter, "the command %s exists already", c.id)
	}
	sh.commands[c.id] = c
	sh.started++
	return nil
}

func (sh *shell) drop(c *command) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	delete(sh.commands, c.id)
	sh.started--
}

func (sh *shell) find(id string) (*command, error) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c := sh.commands[strings.ToUpper(id)]
	if c == nil || !c.running() {
		return nil, faultf(faultNoShell, "the request contains invalid selectors: there is no command %q", id)
	}
	return c, nil
}

// forget ends a command and frees its id.
func (sh *shell) forget(c *command) {
	sh.mu.Lock()
	delete(sh.commands, c.id)
	sh.mu.Unlock()
	c.terminate()
}

// describe is the shell as a resource.
func (sh *shell) describe() string {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now, idle := time.Now(), time.Duration(0)
	if sh.active == 0 {
		idle = now.Sub(sh.lastUsed)
	}
	tag := func(name, value string) string {
		if value == "" {
			return ""
		}
		return "<rsp:" + name + ">" + escape(value) + "</rsp:" + name + ">"
	}
	return `<rsp:Shell>` + tag("ShellId", sh.id) + tag("Name", sh.name) + tag("ResourceUri", resourceCmd) + tag("Owner", sh.owner) +
		tag("ClientIP", sh.client) + tag("IdleTimeOut", formatDuration(sh.idle)) + tag("InputStreams", "stdin") + tag("OutputStreams", "stdout stderr") +
		tag("ShellRunTime", formatDuration(now.Sub(sh.created))) + tag("ShellInactivity", formatDuration(idle)) + `</rsp:Shell>`
}
