package pipeline

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/bootstrap"
)

// saying is a connection on which every command says the same.
type saying string

func (s saying) Run(context.Context, string, io.Reader) (transport.Result, error) {
	return transport.Result{Stdout: []byte(s)}, nil
}
func (saying) Pipe(context.Context, string) (transport.Pipe, error) {
	return nil, errors.New("no pipes")
}
func (saying) Close() error { return nil }

// ward is a clinic for hosts that only exist in the test.
type ward struct {
	transport.Conn
	quotas transport.Quotas
	dial   error
	tools  bootstrap.Abilities
	placed bool
	place  error
	left   int
	answer string
}

func (w *ward) Quotas(context.Context) (transport.Quotas, error) { return w.quotas, nil }
func (w *ward) Close() error                                     { return nil }

func (w *ward) examine(t *testing.T) ([]rpc.Finding, error) {
	t.Helper()
	w.Conn = saying(w.answer)
	p := &Pipeline{
		Now: time.Now, Target: config.Target{Hosts: []config.Host{{Name: "web1"}}},
		Dial: func(context.Context, config.Host) (transport.Conn, error) { return w, w.dial },
		Leave: func(context.Context, transport.Conn, config.Host) error {
			w.left++
			return nil
		},
		Clinic: Clinic{
			Triage: func(context.Context, config.Host) []transport.Symptom {
				return []transport.Symptom{{What: "ports", Detail: "closed", Hint: "open them"}}
			},
			Abilities: func(context.Context, transport.Conn, config.Host) (bootstrap.Abilities, error) { return w.tools, nil },
			Place: func(context.Context, transport.Conn, config.Host) (bootstrap.Place, error) {
				return bootstrap.Place{Doctor: "doctor", Installed: w.placed}, w.place
			},
		},
	}
	var all []rpc.Finding
	err := p.Doctor(t.Context(), 0, func(e Examined) { all = append(all, e.Findings...) })
	return all, err
}

func TestDoctor(t *testing.T) {
	const good = `{"check":"windows","state":"ok","detail":"new"}` + "\n"
	cases := []struct {
		name  string
		ward  ward
		kind  problem.Kind
		fine  bool
		check string
		state string
		words string
	}{
		{"healthy", ward{answer: good, tools: bootstrap.Abilities{Tar: true}}, 0, true, "windows", rpc.Fine, "new"},
		{"out of reach", ward{dial: &transport.Error{Kind: transport.Unreachable, Err: errors.New("refused"), Hint: "look"}}, problem.Unreachable, false, "ports", rpc.Problem, "open them"},
		{"small quotas", ward{answer: good, quotas: transport.Quotas{Shells: 2}, tools: bootstrap.Abilities{Tar: true}}, 0, true, "quotas", rpc.Warning, "MaxShellsPerUser"},
		{"locked down", ward{answer: good, tools: bootstrap.Abilities{Language: "ConstrainedLanguage"}}, 0, true, "ways", rpc.Warning, "preinstalled"},
		{"helper does not start", ward{place: problem.New(problem.Failed, "allow it", "start it")}, problem.Failed, false, "helper", rpc.Problem, "allow it"},
		{"a problem within", ward{answer: good + `{"check":"disk","state":"problem","detail":"full","hint":"make room"}`}, problem.Failed, false, "disk", rpc.Problem, "make room"},
		{"no answer that can be read", ward{answer: "{"}, 0, true, "helper", rpc.Unknown, "findings"},
	}
	for _, c := range cases {
		findings, err := c.ward.examine(t)
		if (err == nil) != c.fine || err != nil && problem.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
		seen := false
		for _, f := range findings {
			seen = seen || f.Check == c.check && f.State == c.state && strings.Contains(f.Detail+" "+f.Hint, c.words)
		}
		if !seen {
			t.Errorf("%s: %+v", c.name, findings)
		}
	}
}

func TestDoctorLeavesABareHostBare(t *testing.T) {
	for placed, want := range map[bool]int{true: 1, false: 0} {
		w := ward{placed: placed, answer: "{}"}
		if _, err := w.examine(t); err != nil || w.left != want {
			t.Errorf("placed %v: left %d times, %v", placed, w.left, err)
		}
	}
}
