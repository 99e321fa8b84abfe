package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// plans writes the plan for a bundle and gives the file.
func (b *bed) plans(bundle string) string {
	b.t.Helper()
	planned, err := b.pipeline().Plan(b.t.Context(), DeployRequest{Bundle: bundle, Record: true})
	path := filepath.Join(b.t.TempDir(), "release.plan")
	if err == nil {
		err = planned.File.Write(path)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return path
}

func TestPlanIsAppliedExactlyOrRefused(t *testing.T) {
	b := newBed(t)
	ctx := t.Context()
	b.steps()
	t.Setenv("PLANNED_SECRET", "open-sesame")
	b.target.Service.Secrets = map[string]string{"TOKEN": "${env:PLANNED_SECRET}"}
	b.target.Service.Env = map[string]string{"COLOR": "crimson"}
	res, err := b.pipeline().Deploy(ctx, DeployRequest{Bundle: b.bundle("1.0.0")})
	b.want(res, err, rollout.Promoted, 0)

	file := b.plans(b.bundle("1.1.0"))
	raw, err := os.ReadFile(file)
	info, failed := os.Stat(file)
	if err := errors.Join(err, failed); err != nil || bytes.Contains(raw, []byte("sesame")) || bytes.Contains(raw, []byte("crimson")) {
		t.Errorf("a plan holds no values: %v\n%s", err, raw)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for name, change := range map[string]struct {
		want   string
		kind   problem.Kind
		change func(*Pipeline, *DeployRequest)
	}{
		"a step":    {"rollout.steps is not as it was", problem.Failed, func(p *Pipeline, _ *DeployRequest) { p.Target.Rollout.Steps = []config.Step{{SetWeight: weight(5)}} }},
		"a lease":   {"rollback.lease is not as it was", problem.Failed, func(p *Pipeline, _ *DeployRequest) { p.Target.Rollback.Lease *= 2 }},
		"a setting": {"web1 would get revision", problem.Failed, func(p *Pipeline, _ *DeployRequest) { p.Target.Service.Env = map[string]string{"COLOR": "blue"} }},
		"a secret":  {"web1 would get revision", problem.Failed, func(*Pipeline, *DeployRequest) { t.Setenv("PLANNED_SECRET", "another") }},
		"an address": {"web1 is web9", problem.Failed, func(p *Pipeline, _ *DeployRequest) {
			p.Target.Hosts = []config.Host{{Name: "web1", Address: "web9"}}
		}},
		"another environment": {`environment "test", not for "prod"`, problem.Failed, func(p *Pipeline, _ *DeployRequest) { p.Target.Environment = "prod" }},
		"another bundle":      {"the bundle holds 1.1.1", problem.Verification, func(_ *Pipeline, r *DeployRequest) { r.Bundle = b.bundle("1.1.1") }},
	} {
		p, req := b.pipeline(), DeployRequest{Plan: file}
		change.change(p, &req)
		res, err := p.Deploy(ctx, req)
		if b.want(res, err, rollout.Failed, change.kind); err == nil || !strings.Contains(err.Error(), change.want) {
			t.Errorf("%s: %v", name, err)
		}
		t.Setenv("PLANNED_SECRET", "open-sesame")
	}
	b.stable("1.0.0")
	res, err = b.pipeline().Deploy(ctx, DeployRequest{Plan: file})
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.1.0")
	if !strings.Contains(b.story(), "applies the plan that tester@here made") {
		t.Error("the journal does not tell of the plan")
	}
	res, err = b.pipeline().Deploy(ctx, DeployRequest{Plan: file})
	if b.want(res, err, rollout.Failed, problem.Failed); err == nil || !strings.Contains(err.Error(), "web1 runs 1.1.0") || problem.HintOf(err) != planAgain {
		t.Errorf("a plan is good once: %v", err)
	}
}

// TestPlanIsOvertaken: what was planned while another run was under way does
// not hold when that one has brought something else.
func TestPlanIsOvertaken(t *testing.T) {
	b, first := paused(t)
	b.target.Rollout.OnConcurrent, b.target.Rollout.Steps = config.ConcurrentQueue, nil
	file := b.plans(b.bundle("1.2.0"))
	second := b.begin(func() (Result, error) { return b.pipeline().Deploy(t.Context(), DeployRequest{Plan: file}) })
	second.until("warning") // it waits
	if _, err := b.pipeline().Ask(t.Context(), "promote"); err != nil {
		t.Fatal(err)
	}
	one, two := first.end(), second.end()
	b.want(one.res, one.err, rollout.Promoted, 0)
	if b.want(two.res, two.err, rollout.Failed, problem.Failed); two.err == nil || !strings.Contains(two.err.Error(), "web1 runs 1.1.0") {
		t.Errorf("%v", two.err)
	}
	b.stable("1.1.0")
}

func TestPlanHosts(t *testing.T) {
	was := PlannedHost{Name: "web1", Address: "a", Arch: "amd64", Machine: "m", Revision: release.Of([]byte("r")), State: release.Of(nil), Run: "r1"}
	f := PlanFile{Hosts: []PlannedHost{was, {Name: "web2"}}}
	is := func(change func(*PlannedHost)) []PlannedHost { h := was; change(&h); return []PlannedHost{h} }
	for want, now := range map[string][]PlannedHost{
		"web1 is another machine":        is(func(h *PlannedHost) { h.Machine = "n" }),
		"web1 has seen run r2 meanwhile": is(func(h *PlannedHost) { h.Run = "r2" }),
		"web1 would go back to another":  is(func(h *PlannedHost) { h.State = release.Of([]byte("s")) }),
		"web2 is no host any more":       is(func(h *PlannedHost) { h.Run = "mine" }),
		"web3 is not in it":              {was, {Name: "web2"}, {Name: "web3"}},
		"web1 runs 1.0.0":                is(func(h *PlannedHost) { h.Stable.Version, h.Was = "1.0.0", release.Of([]byte("x")) }),
	} {
		got := strings.Join(f.hostsDiffer(now, "mine"), "; ")
		if !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := f.hostsDiffer([]PlannedHost{was, {Name: "web2"}}, "mine"); got != nil {
		t.Errorf("the same differs: %v", got)
	}
}

// A plan is read by who did not write it.
func TestReadPlan(t *testing.T) {
	good, err := json.Marshal(PlanFile{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	for want, text := range map[string]string{
		"":                       string(good),
		"no plan":                "what?",
		"version 2 of plans":     `{"version": 2, "hosts": "of another kind"}`,
		"version 0 of plans":     `{}`,
		"unknown field":          `{"version": 1, "also": true}`,
		"more than 8388608 byte": strings.Repeat(" ", maxPlan+1),
	} {
		path := filepath.Join(t.TempDir(), "x.plan")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadPlan(path)
		if want == "" && err != nil || want != "" && (problem.KindOf(err) != problem.Usage || !strings.Contains(err.Error(), want) || problem.HintOf(err) == "") {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := ReadPlan(filepath.Join(t.TempDir(), "none")); problem.KindOf(err) != problem.Usage {
		t.Error(err)
	}
}

func TestCommittedState(t *testing.T) {
	st := rpc.ServiceStatus{Stable: release.Blue, Ports: rpc.Ports{Blue: 1}}
	before := committed(st)
	st.WarmFor, st.Traffic, st.Notes = 5, &rpc.Traffic{}, []string{"x"}
	if committed(st) != before {
		t.Error("what comes and goes is no part of it")
	}
	day := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	kept := []rpc.Retained{{Revision: release.Of([]byte("b")), Committed: day.Add(time.Hour)}, {Revision: release.Of([]byte("a")), Committed: day}}
	st.Retained = kept
	two := committed(st)
	if two == before {
		t.Error("the way back is part of it")
	}
	if st.Retained = kept[:1]; committed(st) != two {
		t.Error("what is pruned is no part of it")
	}
	if st.Retained = []rpc.Retained{{Revision: release.Of([]byte("c"))}, kept[0]}; committed(st) != two {
		t.Error("what was never committed is no way back")
	}
	if st.Retained = []rpc.Retained{{Revision: kept[0].Revision, Committed: kept[0].Committed, Rejected: true}, kept[1]}; committed(st) == two {
		t.Error("a rejected revision is no way back")
	}
}
