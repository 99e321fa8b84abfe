package simulate

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mutant is a bug planted into the shipped source when the simulation is
// built: nothing in the source knows of it.
type mutant struct {
	name    string
	promise string
	file    string
	old     string
	new     string
}

func mutants() []mutant {
	return []mutant{
		{"the router forgets that leases end", "P2", "host/router/service.go",
			"return t.route.Lease > 0 && !now.Before(t.deadline)", "return false"},
		{"the guard never takes a lost run back", "P2", "host/service.go",
			"default:\n\t\tif s.ses != nil {\n\t\t\tconsider(s.deadline)\n\t\t}", "default:"},
		{"a lease's end is ignored after a restart", "P2", "host/mend.go",
			"s.deadline = s.g.now().Add(min(max(left, 0), s.ses.TTL))", "s.deadline = s.g.now().Add(max(left, 24*3600*1e9))"},
		{"a lease outlives a boot", "P2", "host/mend.go",
			"if moved || fresh && !s.ses.Manual {", "if moved {"},
		{"the fence is not checked", "P5", "host/session.go",
			"case f.Run != s.ses.Run || f.Fence != s.ses.Fence:", "case false:"},
		{"a second run steals the lock", "P5", "host/session.go",
			"case s.ses != nil && !s.thaws(p):\n\t\treturn view, nil, s.refuse", "case false:\n\t\treturn view, nil, s.refuse"},
		{"a commit is believed before it is written", "P2", "host/service.go",
			"if err := s.save(); err != nil {\n\t\ts.st = old\n\t\treturn err\n\t}", "go func() { time.Sleep(3 * time.Second); s.tell(func() { _ = s.save() }) }()\n\t_ = old"},
		{"the router switches and writes nothing", "one stable", "host/router/change.go",
			"return r.store.save(r.lasting(route.Service, &route))", "return nil"},
		{"undo leaves the weight where it is", "P3", "host/undo.go",
			"routed := s.backToStable(ctx)", "var routed error"},
		{"failed smoke checks pass", "smoke", "host/check.go",
			"if res.StatusCode < 200 || res.StatusCode > 299 {", "if res.StatusCode < 100 {"},
		{"hosts commit one by one", "P3", "pipeline/execute.go",
			`err := h.call(ctx, d.patience(), func(c *rpc.Client) error { return c.Prepare(ctx, h.fenced(d.run)) })`,
			`err := d.commit(ctx, h, rollout.Command{})`},
		{"undo is said to be done and is not", "P3", "pipeline/execute.go",
			"got, err = c.Undo(ctx, rpc.Undo{Fenced: h.fenced(d.run), State: string(cmd.State), Why: cmd.Why})", "_ = c"},
		{"nothing is drained", "P1", "host/traffic.go",
			"view, err := s.g.opts.Router.Drain(ctx, s.name, slot)", "view, err := router.View{}, error(nil)"},
		{"a rollback needs a bundle", "P9", "pipeline/rollback.go",
			"Revision: release.Revision{Service: t.Service.Name, Release: r}, Kept: revision,", "Revision: release.Revision{Service: t.Service.Name, Release: r},"},
		{"too few requests are enough", "P6", "rollout/analysis/signal.go",
			"if n < g.MinRequests {\n\t\treturn Inconclusive, text + g.few(\"canary\", n)\n\t}", "if n < g.MinRequests {\n\t\treturn Successful, text\n\t}"},
		{"releases are not verified after a boot", "P4", "host/mend.go",
			"if err := s.g.store.Verify(ctx, s.name, rec.Release); err != nil {\n\t\t\treturn s.distrust(ctx, st.Stable, err)\n\t\t}", ""},
	}
}

var mutantSeeds = flag.Int("mutants", 0, "plant every bug and simulate at most so many seeds to catch it; 0: do not")

// TestMutantsAreCaught shows that the simulation can fail. Every bug costs a
// build, so it runs when it is asked for: make simulate does.
func TestMutantsAreCaught(t *testing.T) {
	if *mutantSeeds == 0 {
		for _, m := range mutants() {
			m.overlay(t) // the lines must be there all the same
		}
		t.Skip("bugs are planted by make simulate")
	}
	caught := 0
	for _, m := range mutants() {
		if m.caught(t, *mutantSeeds) {
			caught++
		} else {
			t.Errorf("%s (%s): not caught by %d seeds", m.name, m.promise, *mutantSeeds)
		}
	}
	tell(t, map[string]any{"mutants": len(mutants()), "mutants_caught": caught})
}

// overlay writes the changed file and the list that go build takes.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", filepath.FromSlash(m.file)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), m.old); n == 0 {
		t.Fatalf("%s: %s does not say %q any more", m.name, m.file, m.old)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "changed.go")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{changed: []byte(strings.Replace(string(b), m.old, m.new, 1)), filepath.Join(dir, "overlay.json"): list} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "overlay.json")
}

func (m mutant) caught(t *testing.T, seeds int) bool {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "mutant.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", m.overlay(t), "-o", bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: build: %v\n%s", m.name, err, out)
	}
	run := exec.Command(bin, "-test.run", "^TestSimulate$", "-test.timeout", "5m", "-first", "-seeds", strconv.Itoa(seeds))
	run.Env = append(os.Environ(), "SHIPPER_SIMULATE_SUMMARY=")
	out, err := run.CombinedOutput()
	if err == nil {
		return false
	}
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "seed ") || strings.Contains(line, "panic") {
			t.Logf("%s (%s): %.200s", m.name, m.promise, strings.TrimSpace(line))
			break
		}
	}
	return strings.Contains(string(out), "seed ")
}
