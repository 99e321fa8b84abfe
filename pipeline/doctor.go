package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/bootstrap"
)

// Clinic examines hosts. What it places there to look closer it takes away
// again.
type Clinic struct {
	// Triage looks at a host from outside that could not be reached.
	Triage func(ctx context.Context, h config.Host) []transport.Symptom
	// Abilities looks which ways of the helper to the host work.
	Abilities func(ctx context.Context, conn transport.Conn, h config.Host) (bootstrap.Abilities, error)
	// Place brings the helper there.
	Place func(ctx context.Context, conn transport.Conn, h config.Host) (bootstrap.Place, error)
}

// NewClinic places helpers as a deploy to the target does.
func NewClinic(t config.Target, find Finder, triage func(context.Context, config.Host) []transport.Symptom) Clinic {
	b := newBootstrapper(t, find)
	return Clinic{
		Triage: triage,
		Abilities: func(ctx context.Context, conn transport.Conn, h config.Host) (bootstrap.Abilities, error) {
			o, _ := options(t, h)
			return bootstrap.Examine(ctx, conn, o)
		},
		Place: func(ctx context.Context, conn transport.Conn, h config.Host) (bootstrap.Place, error) {
			return b.place(ctx, conn, h, true)
		},
	}
}

// Examined is what was found on one host.
type Examined struct {
	Host     string
	Findings []rpc.Finding
}

// Doctor examines all hosts; need is what a release and those retained take,
// in bytes, 0 if nobody knows. The first host goes alone, so that a wrong
// password does not lock the account on all of them. The error says that some
// host has a problem.
func (p *Pipeline) Doctor(ctx context.Context, need int64, found func(Examined)) error {
	var mu sync.Mutex
	hosts := p.fleet()
	examine := func(ctx context.Context, h *host) error {
		ctx, cancel := context.WithTimeoutCause(ctx, examineTimeout, fmt.Errorf("no end within %s", examineTimeout))
		defer cancel()
		e := Examined{h.Name, p.examine(ctx, h.Host, need)}
		mu.Lock()
		defer mu.Unlock()
		found(e)
		return verdict(e.Findings)
	}
	first := hosts[:1].each(ctx, examine)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	rest := hosts[1:].each(ctx, examine)
	return unfit(errors.Join(first, rest))
}

// errUnreached and errUnfit sort hosts for the exit code.
var (
	errUnreached = errors.New("not reached")
	errUnfit     = errors.New("not ready")
)

// verdict is nil for a host that takes releases.
func verdict(findings []rpc.Finding) error {
	for _, f := range findings {
		switch {
		case f.State != rpc.Problem:
		case f.Check == checkReach:
			return errUnreached
		default:
			return errUnfit
		}
	}
	return nil
}

func unfit(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errUnreached):
		return problem.New(problem.Unreachable, "do what the hints of its findings say, then ask the doctor again", "some host cannot be reached")
	}
	return problem.New(problem.Failed, "do what the hints of its findings say, then ask the doctor again", "some host is not ready for releases")
}

const (
	checkReach  = "reach"
	checkHelper = "helper"
	// examineTimeout bounds one host.
	examineTimeout = 2 * time.Minute
)

// examine goes from the outside in, as far as it gets.
func (p *Pipeline) examine(ctx context.Context, h config.Host, need int64) []rpc.Finding {
	began := p.Now()
	conn, err := p.Dial(ctx, h)
	if err != nil {
		found := []rpc.Finding{{Check: checkReach, State: rpc.Problem, Detail: err.Error(), Hint: remedyOf(err)}}
		if problem.KindOf(err) == problem.Usage {
			return found // a secret that is not set says nothing about the host
		}
		return append(found, symptoms(p.Clinic.Triage(ctx, h))...)
	}
	defer conn.Close() //nolint:errcheck // what was found is what counts
	found := []rpc.Finding{{Check: checkReach, State: rpc.Fine, Detail: fmt.Sprintf("logged on in %d ms", p.Now().Sub(began).Milliseconds())}}
	found = append(found, quotas(ctx, conn)...)
	found = append(found, p.abilities(ctx, conn, h)...)
	return append(found, p.inside(ctx, conn, h, need)...)
}

func symptoms(seen []transport.Symptom) []rpc.Finding {
	var found []rpc.Finding
	for _, s := range seen {
		f := rpc.Finding{Check: s.What, State: rpc.Fine, Detail: s.Detail, Hint: s.Hint}
		if s.Hint != "" {
			f.State = rpc.Problem
		}
		found = append(found, f)
	}
	return found
}

// What shipper wants of WinRM's quotas: a run has two connections, and up to
// four streams for a push.
const (
	wantEnvelopeKB = 500
	wantShells     = 5
	wantOperations = 15
	wantMemoryMB   = 150
)

func quotas(ctx context.Context, conn transport.Conn) []rpc.Finding {
	asked, ok := conn.(interface {
		Quotas(context.Context) (transport.Quotas, error)
	})
	if !ok {
		return nil
	}
	q, err := asked.Quotas(ctx)
	if err != nil {
		return []rpc.Finding{{Check: "quotas", State: rpc.Unknown, Detail: err.Error()}}
	}
	var found []rpc.Finding
	for _, l := range []struct {
		name       string
		have, want int
		setting    string
	}{
		{"envelope", q.EnvelopeKB, wantEnvelopeKB, `winrm set winrm/config @{MaxEnvelopeSizekb="500"}`},
		{"shells", q.Shells, wantShells, `winrm set winrm/config/winrs @{MaxShellsPerUser="30"}`},
		{"operations", q.Operations, wantOperations, `winrm set winrm/config/service @{MaxConcurrentOperationsPerUser="1500"}`},
		{"memory of a shell", q.MemoryMB, wantMemoryMB, `winrm set winrm/config/winrs @{MaxMemoryPerShellMB="1024"}`},
	} {
		if l.have > 0 && l.have < l.want {
			found = append(found, rpc.Finding{Check: "quotas", State: rpc.Warning, Detail: fmt.Sprintf("%s: %d, pushes are faster with %d", l.name, l.have, l.want), Hint: l.setting})
		}
	}
	if len(found) == 0 {
		return []rpc.Finding{{Check: "quotas", State: rpc.Fine, Detail: fmt.Sprintf("envelopes of %d kB, %d shells", q.EnvelopeKB, q.Shells)}}
	}
	return found
}

// abilities compares what the host has with the ways that are allowed.
func (p *Pipeline) abilities(ctx context.Context, conn transport.Conn, h config.Host) []rpc.Finding {
	a, err := p.Clinic.Abilities(ctx, conn, h)
	if err != nil {
		return []rpc.Finding{{Check: checkHelper, State: rpc.Problem, Detail: err.Error(), Hint: remedyOf(err)}}
	}
	language := a.Language
	if language == "" {
		language = "none"
	}
	f := rpc.Finding{Check: "ways", State: rpc.Fine, Detail: fmt.Sprintf("tar %s, PowerShell %s", yes(a.Tar), language)}
	if !a.Tar && a.Language != "FullLanguage" {
		f.State = rpc.Warning
		f.Hint = "a policy keeps PowerShell from unpacking the helper: bring it by your own means (bootstrap.helper: preinstalled), or allow certutil in bootstrap.allow"
	}
	return []rpc.Finding{f}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// inside lets the helper look from within; a host on which there was none is
// left as it was.
func (p *Pipeline) inside(ctx context.Context, conn transport.Conn, h config.Host, need int64) []rpc.Finding {
	place, err := p.Clinic.Place(ctx, conn, h)
	if err != nil {
		return []rpc.Finding{{Check: checkHelper, State: rpc.Problem, Detail: err.Error(), Hint: remedyOf(err)}}
	}
	f := rpc.Finding{Check: checkHelper, State: rpc.Fine, Detail: "is there and starts"}
	found := p.asked(ctx, conn, h, place, need)
	if place.Installed {
		f.Detail = "was placed, started, and taken away again"
		if err := p.Leave(context.WithoutCancel(ctx), conn, h); err != nil {
			f.State, f.Detail, f.Hint = rpc.Warning, "was placed and stays: "+err.Error(), "shipper remove takes it away, or the next deploy uses it"
		}
	}
	return append([]rpc.Finding{f}, found...)
}

func (p *Pipeline) asked(ctx context.Context, conn transport.Conn, h config.Host, place bootstrap.Place, need int64) []rpc.Finding {
	question, err := json.Marshal(p.checkup(h, need))
	if err != nil {
		return []rpc.Finding{{Check: checkHelper, State: rpc.Unknown, Detail: err.Error()}}
	}
	r, err := conn.Run(ctx, place.Doctor, bytes.NewReader(question))
	if err == nil && r.Exit != 0 {
		err = fmt.Errorf("exit code %d: %s", r.Exit, strings.TrimSpace(string(r.Stderr)))
	}
	if err != nil {
		return []rpc.Finding{{Check: checkHelper, State: rpc.Problem, Detail: "examine from within: " + err.Error(), Hint: remedyOf(err)}}
	}
	var found []rpc.Finding
	for d := json.NewDecoder(bytes.NewReader(r.Stdout)); d.More(); {
		var f rpc.Finding
		if err := d.Decode(&f); err != nil {
			return append(found, rpc.Finding{Check: checkHelper, State: rpc.Unknown, Detail: "read its findings: " + err.Error()})
		}
		found = append(found, f)
	}
	return found
}

func (p *Pipeline) checkup(h config.Host, need int64) rpc.Checkup {
	t := p.Target
	c := rpc.Checkup{
		Service: t.Service.Name, Arch: h.Arch, Account: t.Service.Account, Need: need, Clock: p.Now(), Logon: t.Transport.Auth,
		Ports: []int{t.Service.Ports.Blue, t.Service.Ports.Green},
	}
	if t.Traffic.Router == "embedded" {
		c.Listen = t.Traffic.Listen
	}
	if t.Transport.Type != "winrm" {
		c.Logon = t.Transport.Type
	}
	return c
}

// remedyOf finds the remedy that a problem or a transport knows.
func remedyOf(err error) string {
	if hint := problem.HintOf(err); hint != "" {
		return hint
	}
	var t *transport.Error
	if errors.As(err, &t) && t.Hint != "" {
		return t.Hint
	}
	return ""
}
