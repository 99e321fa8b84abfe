package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/rollout/analysis/fetch"
)

const (
	maxTelling   = 8       // hooks of hosts that run at a time
	maxComplaint = 4 << 10 // bytes of a program's stderr that are looked at
	// farewell bounds the hooks of a run that was interrupted: a second of
	// the grace must remain to free the hosts.
	farewell = 500 * time.Millisecond
)

// told is what hooks hear of a run.
type told struct {
	Stage       string          `json:"stage"`
	Run         string          `json:"run"`
	Verb        string          `json:"verb"`
	Service     string          `json:"service"`
	Environment string          `json:"environment"`
	Owner       string          `json:"owner"`
	Version     string          `json:"version,omitempty"`
	Release     release.Release `json:"release"`
	Host        string          `json:"host,omitempty"`   // of stages that every host goes through
	Weight      string          `json:"weight,omitempty"` // that it gets, or got: 5%
	State       rollout.State   `json:"state,omitempty"`
	Error       string          `json:"error,omitempty"`
}

// hooksAt runs the hooks of a stage one after another. A stage that stops a
// run ends with the first that fails; of the others each is told, and a
// failure is a warning: it never takes the place of what the run ended with.
func (p *Pipeline) hooksAt(ctx context.Context, s *story, stage, verb string, res Result, cause error) error {
	about := told{Stage: stage, Verb: verb, Version: res.Release.Version, Release: res.Release, Error: reason(cause)}
	if !config.Stops(stage) && stage != "beforeRollback" {
		about.State = res.State
	}
	return p.tellHooks(ctx, s, about, nil)
}

// hook runs the hooks of a stage that every host goes through. A way back asks none.
func (d *driver) hook(ctx context.Context, stage string, h *host, weight string) error {
	if d.task.hooks == "" {
		return nil
	}
	select {
	case d.telling <- struct{}{}:
		defer func() { <-d.telling }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return d.p.tellHooks(ctx, d.story, told{
		Stage: stage, Verb: d.task.hooks, Version: d.task.release.Version, Release: d.task.release, Host: h.Name, Weight: weight,
	}, func(ctx context.Context, hook config.Hook, about told) error { return d.onHost(ctx, h, hook, about) })
}

// onHost runs a program of the release on the host. Before the start it needs
// the revision; later the host has it.
func (d *driver) onHost(ctx context.Context, h *host, hook config.Hook, about told) error {
	start := d.p.startKept(d.slotStarted(h.Name).Revision, d.task.release)
	if about.Stage == "beforeStart" {
		var err error
		if start, err = d.task.start(h); err != nil {
			return err
		}
	}
	req := rpc.Hook{
		Start: start, Name: hook.Name, Stage: about.Stage, Command: hook.Host.Command, Limit: hook.Host.Timeout,
		Vars: map[string]string{"SHIPPER_VERB": about.Verb, "SHIPPER_ENVIRONMENT": d.p.Target.Environment, "SHIPPER_WEIGHT": about.Weight},
	}
	maps.Copy(req.Vars, hook.Host.Env)
	req.Fenced = h.fenced(d.run)
	return h.call(ctx, d.patience(), func(c *rpc.Client) error {
		_, err := c.Hook(ctx, req)
		return err
	})
}

// tellHooks tells all hooks of a stage. Those on hosts run where there is one;
// before the start, programs here are told once, and those on hosts for each.
func (p *Pipeline) tellHooks(ctx context.Context, s *story, about told, onHost func(context.Context, config.Hook, told) error) error {
	if s.run == "" { // plan and build are no runs
		return nil
	}
	stage := about.Stage
	about.Run, about.Service, about.Environment, about.Owner = s.run, p.Target.Service.Name, p.Target.Environment, p.Owner
	for _, h := range p.Target.Hooks {
		if here := h.Host == nil; !slices.Contains(h.On, stage) || here != (onHost == nil) && (!here || stage == "beforeStart") {
			continue
		}
		began := p.Now()
		run := runHook
		if h.Host != nil {
			run = onHost
		}
		err := run(ctx, h, about)
		if err == nil {
			s.note(journal.TypeHook, about.Host, fmt.Sprintf("%s at %s: done in %.1f s", h.Name, stage, p.Now().Sub(began).Seconds()))
			continue
		}
		s.note(journal.TypeWarning, about.Host, fmt.Sprintf("hook %s at %s: %v", h.Name, stage, err))
		if config.Stops(stage) {
			return problem.Wrap(problem.Failed, err, "hook "+h.Name+" at "+stage, "mend it, or take the stage out of its list `on`")
		}
	}
	return nil
}

// outcomes tells how a run ended. One that was interrupted has little time.
func (p *Pipeline) outcomes(ctx context.Context, s *story, verb string, res Result, cause error) {
	if verb == "push" || verb == "sync" { // they release nothing
		return
	}
	interrupted := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx)
	if interrupted {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, farewell)
		defer cancel()
	}
	stage := map[rollout.State]string{
		rollout.Promoted: "promoted", rollout.RolledBack: "rolledBack", rollout.Aborted: "aborted", rollout.Paused: "paused",
	}[res.State]
	if stage == "" {
		stage = "failed"
	}
	for _, at := range []string{stage, "ended"} {
		_ = p.hooksAt(ctx, s, at, verb, res, cause) // of these stages none stops
	}
}

// readyHooks resolves the secrets of all hooks once, so that a missing one is
// told before anything happens.
func (p *Pipeline) readyHooks() error {
	for _, h := range p.Target.Hooks {
		var err error
		if h.Host != nil {
			continue
		}
		if h.Exec != nil {
			_, err = resolveAll(h.Exec.Env)
		} else {
			_, err = access(h.Web.Question())
		}
		if err != nil {
			return problem.Wrap(problem.Usage, err, "prepare hook "+h.Name, "secrets are resolved where shipper runs; hooks in "+p.Target.Path+" names them")
		}
	}
	return nil
}

func runHook(ctx context.Context, h config.Hook, about told) error {
	if h.Exec != nil {
		return runProgram(ctx, *h.Exec, about)
	}
	return post(ctx, *h.Web, about)
}

// runProgram tells a program by its environment. What it prints goes nowhere;
// of its complaint the last line, without the secrets that it was given.
func runProgram(ctx context.Context, c config.Program, about told) error {
	secrets, err := resolveAll(c.Env)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Env = append(os.Environ(), about.environment()...)
	for name, value := range secrets {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	complaint := &tail{}
	cmd.Stderr, cmd.WaitDelay = complaint, time.Second
	err = cmd.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("run %s: no end within %s", c.Command[0], c.Timeout)
	}
	return fmt.Errorf("run %s: %w%s", c.Command[0], err, complaint.line(c.Env, secrets))
}

func (t told) environment() []string {
	return []string{
		"SHIPPER_STAGE=" + t.Stage, "SHIPPER_RUN=" + t.Run, "SHIPPER_VERB=" + t.Verb, "SHIPPER_SERVICE=" + t.Service,
		"SHIPPER_ENVIRONMENT=" + t.Environment, "SHIPPER_OWNER=" + t.Owner, "SHIPPER_VERSION=" + t.Version,
		"SHIPPER_HOST=" + t.Host, "SHIPPER_WEIGHT=" + t.Weight, "SHIPPER_STATE=" + string(t.State), "SHIPPER_ERROR=" + t.Error,
	}
}

// post tells a web service. Whatever is no 2xx is a failure.
func post(ctx context.Context, w config.Webhook, about told) error {
	o, err := access(w.Question())
	if err != nil {
		return err
	}
	client, err := fetch.New(o)
	if err != nil {
		return err
	}
	body, err := json.Marshal(about)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	reply, err := client.Post(ctx, w.URL, body)
	if err == nil && (reply.Status < 200 || reply.Status > 299) {
		err = fmt.Errorf("status %d", reply.Status) // the body may repeat what was sent
	}
	return err
}

// tail keeps the end of what is written.
type tail struct{ buf bytes.Buffer }

func (t *tail) Write(p []byte) (int, error) {
	t.buf.Write(p)
	if extra := t.buf.Len() - maxComplaint; extra > 0 {
		t.buf.Next(extra)
	}
	return len(p), nil
}

// line is the last line that is not empty, without the secrets among values.
func (t *tail) line(refs, values map[string]string) string {
	text := strings.TrimSpace(strings.ToValidUTF8(t.buf.String(), ""))
	for name, value := range values {
		if config.IsRef(refs[name]) {
			text = strings.ReplaceAll(text, value, "***")
		}
	}
	text = strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	if text == "" {
		return ""
	}
	return ": " + text[:min(len(text), 200)]
}
