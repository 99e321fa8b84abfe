package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
	"github.com/go-shipper/shipper/rollout/analysis/exec"
	"github.com/go-shipper/shipper/rollout/analysis/fetch"
	"github.com/go-shipper/shipper/rollout/analysis/prometheus"
	"github.com/go-shipper/shipper/rollout/analysis/web"
)

// source measures something outside the hosts.
type source interface {
	Measure(ctx context.Context) (rollout.Value, error)
}

// question makes the source of a signal, once it is known which slot is the
// canary's. Its secrets are resolved.
type question func(words map[string]string) (source, error)

// questions prepares the signals that ask outside, so that what is missing is
// told before any host is touched.
func (p *Pipeline) questions(r release.Release) (map[string]question, error) {
	out := map[string]question{}
	known := map[string]string{
		".Environment": p.Target.Environment, ".Service": p.Target.Service.Name,
		".Version": r.Version, ".Release": r.Digest.Short(),
	}
	for _, s := range p.Target.Analysis.Signals {
		if !s.Asks() {
			continue
		}
		q, err := newQuestion(s)
		if err != nil {
			return nil, problem.Wrap(problem.Usage, err, "prepare signal "+s.Name, "secrets are resolved where shipper runs; analysis.signals in "+p.Target.Path+" names them")
		}
		out[s.Name] = func(words map[string]string) (source, error) {
			all := maps.Clone(known)
			maps.Copy(all, words)
			return q(all)
		}
	}
	return out, nil
}

func newQuestion(s config.Signal) (question, error) {
	switch {
	case s.Prometheus != nil:
		return askPrometheus(*s.Prometheus)
	case s.Web != nil:
		return askWeb(*s.Web)
	}
	return askProgram(*s.Exec)
}

func askPrometheus(c config.Prometheus) (question, error) {
	o, err := access(config.WebQuestion{Header: c.Header, User: c.User, Password: c.Password, Token: c.Token, CA: c.CA, Timeout: c.Timeout})
	return func(words map[string]string) (source, error) {
		address, err := release.Fill("", c.URL, words)
		query, unfilled := release.Fill("", c.Query, words)
		if err := errors.Join(err, unfilled); err != nil {
			return nil, err
		}
		return prometheus.New(address, query, o)
	}, err
}

func askWeb(c config.WebQuestion) (question, error) {
	o, err := access(c)
	if _, wrong := web.ParsePath(c.JSON); wrong != nil {
		return nil, wrong
	}
	return func(words map[string]string) (source, error) {
		address, err := release.Fill("", c.URL, words)
		if err != nil {
			return nil, err
		}
		return web.New(address, c.JSON, o)
	}, err
}

func askProgram(c config.Program) (question, error) {
	env, err := resolveAll(c.Env)
	return func(words map[string]string) (source, error) {
		command := slices.Clone(c.Command)
		for i := range command {
			var err error
			if command[i], err = release.Fill("", command[i], words); err != nil {
				return nil, err
			}
		}
		return &exec.Source{Command: command, Env: env, Timeout: c.Timeout}, nil
	}, err
}

// access resolves what a web service wants to see.
func access(c config.WebQuestion) (fetch.Options, error) {
	secrets, err := resolveAll(map[string]string{"password": c.Password, "token": c.Token})
	if err != nil {
		return fetch.Options{}, err
	}
	header, err := resolveAll(c.Header)
	if secrets["token"] != "" {
		header["Authorization"] = "Bearer " + secrets["token"]
	}
	return fetch.Options{Header: header, User: c.User, Password: secrets["password"], CA: c.CA, Timeout: c.Timeout}, err
}

// resolveAll reads the references among values; the others stay.
func resolveAll(values map[string]string) (map[string]string, error) {
	out := map[string]string{}
	for name, value := range values {
		if config.IsRef(value) {
			var err error
			if value, err = config.Resolve(value, os.LookupEnv, os.ReadFile); err != nil {
				return nil, err
			}
		}
		out[name] = value
	}
	return out, nil
}

// measure asks for one value and tells the engine.
func (d *driver) measure(ctx context.Context, c rollout.Command) {
	m := rollout.Measured{Signal: c.Signal, Seq: c.Seq}
	m.Value, m.Err = d.value(ctx, c.Signal)
	d.sender(ctx)(m)
}

func (d *driver) value(ctx context.Context, signal string) (rollout.Value, error) {
	q := d.task.questions[signal]
	if q == nil {
		return rollout.Value{}, fmt.Errorf("nobody knows where to ask for %s", signal)
	}
	from, err := q(d.slotWords())
	if err != nil {
		return rollout.Value{}, err
	}
	return from.Measure(ctx)
}

// slotWords names the canary's slot. Where the hosts differ there is no such
// word, and a question that wants it has no answer.
func (d *driver) slotWords() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	words := map[string]string{}
	for _, s := range d.slots {
		if seen := words[".Slot"]; seen != "" && seen != string(s.Slot) {
			return nil
		}
		words[".Slot"], words[".StableSlot"] = string(s.Slot), string(s.Slot.Other())
	}
	return words
}
