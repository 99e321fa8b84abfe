package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

const twoHosts = `service: {name: orders}
traffic: {listen: ":8080"}
environments:
  prod: {hosts: [web1, web2], transport: {user: u, password: "${env:P}"}}
`

var (
	v1 = release.Release{Version: "1.0.0", Digest: release.Of([]byte("1"))}
	v2 = release.Release{Version: "2.0.0", Digest: release.Of([]byte("2"))}
)

// scripted answers as the test says, in place of hosts.
type scripted struct {
	verbs
	run       *pipeline.Pipeline
	deploy    func(context.Context, pipeline.DeployRequest) (pipeline.Result, error)
	rollback  func(pipeline.RollbackRequest) (pipeline.Result, error)
	status    []pipeline.FleetStatus
	looks     int
	history   []pipeline.HistoryEntry
	ask       func(kind string) (pipeline.Result, error)
	resume    func(kind string) (pipeline.Result, error)
	logs      string
	message   string
	pruned    map[string]rpc.PruneReply
	statusErr error
	travel    map[string]journal.Travel
	expected  *journal.Forecast
}

func (s *scripted) Deploy(ctx context.Context, r pipeline.DeployRequest) (pipeline.Result, error) {
	return s.deploy(ctx, r)
}
func (s *scripted) Plan(context.Context, pipeline.DeployRequest) (pipeline.Planned, error) {
	return pipeline.Planned{Release: v2, Travel: s.travel, Expect: s.expected, File: &pipeline.PlanFile{Version: 1}}, nil
}
func (s *scripted) Rollback(_ context.Context, r pipeline.RollbackRequest) (pipeline.Result, error) {
	return s.rollback(r)
}
func (s *scripted) Status(context.Context) (pipeline.FleetStatus, error) {
	st := s.status[min(s.looks, len(s.status)-1)]
	s.looks++
	return st, s.statusErr
}
func (s *scripted) Examine(ctx context.Context) (pipeline.FleetStatus, error) { return s.Status(ctx) }
func (s *scripted) LockStatus(context.Context) ([]pipeline.HostStatus, error) {
	return s.status[0].Hosts, nil
}
func (s *scripted) History(context.Context) ([]pipeline.HistoryEntry, error) { return s.history, nil }
func (s *scripted) Ask(_ context.Context, kind string) (pipeline.Result, error) {
	return s.ask(kind)
}
func (s *scripted) Resume(_ context.Context, kind string) (pipeline.Result, error) {
	return s.resume(kind)
}
func (s *scripted) Logs(_ context.Context, w io.Writer, _ pipeline.LogsRequest) error {
	_, err := io.WriteString(w, s.logs)
	return err
}
func (s *scripted) LockAcquire(_ context.Context, message string) error {
	s.message = message
	return nil
}
func (s *scripted) Prune(context.Context, bool) (map[string]rpc.PruneReply, error) {
	return s.pruned, nil
}

// shipper runs the program in this process; with hosts, those answer.
func shipper(t *testing.T, hosts *scripted, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	return shipperIn(t, t.Context(), hosts, args...)
}

func shipperIn(t *testing.T, ctx context.Context, hosts *scripted, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program{stdin: strings.NewReader(""), stdout: &out, stderr: &errs}
	p.start = func(run *pipeline.Pipeline) verbs {
		if hosts == nil {
			return run
		}
		hosts.run = run
		return hosts
	}
	if hosts != nil {
		file := filepath.Join(t.TempDir(), "shipper.yaml")
		if err := os.WriteFile(file, []byte(twoHosts), 0o644); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"-c", file}, args...)
	}
	exit = p.main(ctx, append([]string{"shipper"}, args...))
	return out.String(), errs.String(), exit
}

// result reads the last line of --json, and checks the others on the way.
func lastResult(t *testing.T, stdout string) journal.Result {
	t.Helper()
	var last journal.Record
	seq := int64(0)
	for line := range strings.Lines(stdout) {
		last = journal.Record{}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if last.Seq <= seq {
			t.Errorf("seq %d after %d", last.Seq, seq)
		}
		seq = last.Seq
	}
	if last.Type != journal.TypeResult {
		t.Fatalf("the last record is %q:\n%s", last.Type, stdout)
	}
	return read[journal.Result](last)
}

func TestDeployTellsTheRun(t *testing.T) {
	hosts := &scripted{}
	hosts.deploy = func(context.Context, pipeline.DeployRequest) (pipeline.Result, error) {
		emit := func(seq int64, kind string, data any) {
			r := newRecord(kind, "", data)
			r.Seq, r.Run = seq, "run-1"
			hosts.run.Emit(r)
		}
		emit(1, journal.TypeRunStarted, journal.RunStarted{Verb: "deploy", Service: "orders", Environment: "prod", Release: v2})
		emit(2, journal.TypeVerdict, journal.Verdict{Outcome: "Failed", Why: "5xx 3 %"})
		emit(3, journal.TypeResult, journal.Result{Verb: "deploy", State: "RolledBack"})
		err := problem.New(problem.RolledBack, "look at the logs", "rolled back: 5xx 3 %%")
		return pipeline.Result{State: rollout.RolledBack, Run: "run-1", Release: v2}, err
	}
	out, errs, exit := shipper(t, hosts, "deploy", "--json")
	got := lastResult(t, out)
	if exit != 3 || got.Exit != 3 || got.State != "RolledBack" || got.Run != "run-1" || got.Release != v2 || got.Hint != "look at the logs" {
		t.Errorf("exit %d, %+v", exit, got)
	}
	if strings.Count(out, `"type":"result"`) != 1 || strings.Contains(errs, "verdict") {
		t.Errorf("one result, and prose nowhere:\n%s%s", out, errs)
	}
	out, errs, _ = shipper(t, hosts, "deploy")
	if out != "" || !strings.Contains(errs, "verdict") || !strings.Contains(errs, "rolled back") || strings.Contains(errs, "\x1b") {
		t.Errorf("prose on stderr only, without escape codes:\n%s%s", out, errs)
	}
}

func TestPanicHasNoStack(t *testing.T) {
	hosts := &scripted{deploy: func(context.Context, pipeline.DeployRequest) (pipeline.Result, error) { panic("boom") }}
	out, errs, exit := shipper(t, hosts, "deploy", "--json")
	if exit != 1 || lastResult(t, out).State != "Failed" || !strings.Contains(errs, "error: internal error: boom") || strings.Contains(errs, "goroutine") {
		t.Errorf("exit %d:\n%s%s", exit, out, errs)
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("TMP", os.Getenv("TMPDIR"))
	_, errs, _ = shipper(t, hosts, "deploy", "--verbose")
	_, name, _ := strings.Cut(errs, "the details are in ")
	stack, err := os.ReadFile(strings.TrimSpace(name))
	if err != nil || !bytes.Contains(stack, []byte("goroutine")) {
		t.Errorf("%v\n%s", err, errs)
	}
}

func TestInterruptedRunAborts(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	hosts := &scripted{deploy: func(ctx context.Context, _ pipeline.DeployRequest) (pipeline.Result, error) {
		cancel(problem.New(problem.Aborted, "", "interrupted by SIGINT"))
		<-ctx.Done()
		return pipeline.Result{State: rollout.Aborted}, context.Cause(ctx)
	}}
	out, errs, exit := shipperIn(t, ctx, hosts, "deploy", "--json")
	if exit != 5 || lastResult(t, out).State != "Aborted" || !strings.Contains(errs, "SIGINT") {
		t.Errorf("exit %d:\n%s%s", exit, out, errs)
	}
}

func hostOn(name string, stable release.Slot, slots map[release.Slot]rpc.SlotStatus) pipeline.HostStatus {
	return pipeline.HostStatus{Host: name, Status: rpc.ServiceStatus{Known: true, Stable: stable, Slots: slots}}
}

func running(r release.Release) rpc.SlotStatus {
	return rpc.SlotStatus{Release: r, Port: 18080, Live: rpc.InstanceState{State: "running", PID: 7}}
}

func TestStatus(t *testing.T) {
	web1 := hostOn("web1", release.Blue, map[release.Slot]rpc.SlotStatus{release.Blue: running(v1)})
	web2 := hostOn("web2", release.Green, map[release.Slot]rpc.SlotStatus{release.Green: running(v2)})
	silent := pipeline.HostStatus{Host: "web2", Err: errors.New("no route")}
	edited, blind := web1, web1
	edited.Drift = []rpc.Drift{{Slot: release.Blue, What: "start type", Want: "auto", Have: "disabled"}, {What: "firewall", Want: "a rule x", Have: "missing"}}
	blind.Blind = "its guard is of an older shipper"
	for _, c := range []struct {
		name string
		st   pipeline.FleetStatus
		exit int
		want []string
	}{
		{"fine", pipeline.FleetStatus{State: rollout.Promoted, Stable: v1, Hosts: []pipeline.HostStatus{web1}}, 0, []string{"orders in prod: promoted, stable is 1.0.0", "blue *"}},
		{"behind", pipeline.FleetStatus{State: rollout.Split, Behind: []string{"web2"}, Hosts: []pipeline.HostStatus{web1, web2}}, 9, []string{"web2: behind"}},
		{"left behind", pipeline.FleetStatus{State: rollout.Promoted, Stable: v1, Behind: []string{"web2"}, Left: []string{"web2"},
			Reason: map[string]string{"web2": "left behind by run r, does not answer"}, Hosts: []pipeline.HostStatus{web1, silent}}, 9, []string{"web2: no answer: no route", "web2: behind: left behind by run r"}},
		{"silent", pipeline.FleetStatus{State: rollout.Promoted, Stable: v1, Behind: []string{"web2"}, Hosts: []pipeline.HostStatus{web1, silent}}, 7, []string{"no answer: no route"}},
		{"changed", pipeline.FleetStatus{State: rollout.Promoted, Stable: v1, Hosts: []pipeline.HostStatus{edited}}, 0,
			[]string{"changed: blue start type is disabled; should be auto", "changed: firewall is missing; should be a rule x", "`shipper sync` restores"}},
		{"not known", pipeline.FleetStatus{State: rollout.Promoted, Stable: v1, Hosts: []pipeline.HostStatus{blind}}, 0, []string{"changed by others is not known: its guard"}},
		{"rolled back", pipeline.FleetStatus{State: rollout.RolledBack, Stable: v1, Hosts: []pipeline.HostStatus{web1}}, 0, []string{"rolled back"}},
	} {
		out, errs, exit := shipper(t, &scripted{status: []pipeline.FleetStatus{c.st}}, "status")
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, out)
			}
		}
		if exit != c.exit || (exit != 0) != strings.Contains(errs, "error: ") {
			t.Errorf("%s: exit %d, want %d\n%s", c.name, exit, c.exit, errs)
		}
		out, _, exit = shipper(t, &scripted{status: []pipeline.FleetStatus{c.st}}, "status", "--json")
		if got := lastResult(t, out); exit != c.exit || got.State != string(c.st.State) || strings.Count(out, "service.state") != len(c.st.Hosts) {
			t.Errorf("%s: exit %d, %+v", c.name, exit, got)
		}
	}
}

func TestStatusWatchesUntilTheEnd(t *testing.T) {
	going := pipeline.FleetStatus{State: rollout.Running}
	for state, want := range map[rollout.State]int{rollout.Promoted: 0, rollout.RolledBack: 1, rollout.Paused: 4, rollout.Aborted: 5, rollout.Lost: 1, rollout.Split: 9} {
		hosts := &scripted{status: []pipeline.FleetStatus{{State: state, Run: "r"}}}
		if _, errs, exit := shipper(t, hosts, "status", "--watch"); exit != want {
			t.Errorf("%s: exit %d, want %d\n%s", state, exit, want, errs)
		}
	}
	back := &scripted{status: []pipeline.FleetStatus{going, {State: rollout.RolledBack, Run: "r", Verb: "rollback"}}}
	if _, errs, exit := shipper(t, back, "status", "--watch"); exit != 0 {
		t.Errorf("a rollback that did what it should: exit %d\n%s", exit, errs)
	}
	_, errs, exit := shipper(t, &scripted{status: []pipeline.FleetStatus{going}}, "status", "--watch", "--timeout", "1ms")
	if exit != 1 || !strings.Contains(errs, "no end within 1ms") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}

func TestAskOrTakeOn(t *testing.T) {
	var asked []string
	hosts := &scripted{
		ask: func(kind string) (pipeline.Result, error) {
			asked = append(asked, kind)
			return pipeline.Result{State: rollout.Running, Run: "r"}, nil
		},
		resume: func(kind string) (pipeline.Result, error) {
			asked = append(asked, "take on "+kind)
			return pipeline.Result{State: rollout.Promoted, Run: "r"}, nil
		},
	}
	for _, verb := range [][]string{{"pause"}, {"abort"}, {"promote"}, {"promote", "--full"}, {"resume"}} {
		if _, errs, exit := shipper(t, hosts, verb...); exit != 0 {
			t.Errorf("%v: exit %d: %s", verb, exit, errs)
		}
	}
	hosts.ask = func(kind string) (pipeline.Result, error) {
		return pipeline.Result{State: rollout.Split}, problem.New(problem.Failed, "", "no run is in progress")
	}
	if _, _, exit := shipper(t, hosts, "resume"); exit != 0 {
		t.Error("a split run is taken on")
	}
	if _, errs, exit := shipper(t, hosts, "pause"); exit != 1 || !strings.Contains(errs, "no run is in progress") {
		t.Errorf("exit %d: %s", exit, errs)
	}
	if got := strings.Join(asked, ", "); got != "pause, abort, promote, promote-full, resume, take on resume" {
		t.Error(got)
	}
}

func TestHistory(t *testing.T) {
	began := newRecord(journal.TypeRunStarted, "", journal.RunStarted{Verb: "deploy", Owner: "ann@ci", Release: v2})
	began.Run, began.Time = "r1", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	end := newRecord(journal.TypeResult, "", journal.Result{State: "Promoted"})
	end.Time = began.Time.Add(42 * time.Second)
	lost := newRecord(journal.TypeUndone, "", journal.Undone{By: "guard", Why: "lease ran out"})
	hosts := &scripted{history: []pipeline.HistoryEntry{{Started: began, Result: end}, {Started: began, Result: lost}, {Started: began}}}
	out, _, exit := shipper(t, hosts, "history")
	for _, want := range []string{"promoted", "42 s", "ann@ci", "2.0.0", "lost", "lease ran out", "no end told"} {
		if exit != 0 || !strings.Contains(out, want) {
			t.Errorf("exit %d, no %q in\n%s", exit, want, out)
		}
	}
	out, _, _ = shipper(t, hosts, "history", "--json", "--limit", "2")
	if strings.Count(out, `"type":"run"`) != 2 || lastResult(t, out).Exit != 0 {
		t.Error(out)
	}
}

func TestLogsAreRecordsWithJSON(t *testing.T) {
	hosts := &scripted{logs: "one\r\ntwo\nthree"}
	out, _, _ := shipper(t, hosts, "logs", "--json")
	if lastResult(t, out).Verb != "logs" || strings.Count(out, `"type":"log"`) != 3 || !strings.Contains(out, `{"text":"one"}`) {
		t.Error(out)
	}
	if out, _, _ = shipper(t, hosts, "logs"); out != hosts.logs {
		t.Errorf("%q", out)
	}
}

func TestLockAndPrune(t *testing.T) {
	free := hostOn("web1", "", nil)
	held := hostOn("web2", "", nil)
	held.Status.Session = &rpc.Session{Owner: "bob@laptop", Run: "r9"}
	hosts := &scripted{
		status: []pipeline.FleetStatus{{Hosts: []pipeline.HostStatus{free, held}}},
		pruned: map[string]rpc.PruneReply{"web1": {Removed: []string{"1.0.0-abc"}, Bytes: 5e6}},
	}
	if out, _, exit := shipper(t, hosts, "lock", "status"); exit != 0 || !strings.Contains(out, "web1: lock: free") || !strings.Contains(out, "web2: lock: bob@laptop, run r9") {
		t.Errorf("exit %d\n%s", exit, out)
	}
	if _, _, exit := shipper(t, hosts, "lock", "acquire", "-m", "audit"); exit != 0 || hosts.message != "audit" {
		t.Errorf("exit %d, message %q", exit, hosts.message)
	}
	if out, _, _ := shipper(t, hosts, "prune", "--dry-run"); !strings.Contains(out, "web1: would remove 1.0.0-abc, 5.0 MB") {
		t.Error(out)
	}
}

func TestPlanTellsWhatTravels(t *testing.T) {
	hosts := &scripted{travel: map[string]journal.Travel{
		"web2": {Files: 3, Size: 14e6, Port: 80, Owner: "nginx.exe"}, "web1": {Files: 3, Sent: 1, Deltas: 1, Bytes: 71_475, Size: 14e6},
		"web3": {Files: 3, Sent: 3, Bytes: 5e6, Size: 14e6, Bare: true},
	}}
	bundle := filepath.Join(t.TempDir(), "orders.zip")
	if err := os.WriteFile(bundle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, exit := shipper(t, hosts, "plan", "--bundle", bundle)
	want := `web1: 71 kB travel for 1 file of 3 (14.0 MB), 1 as what differs
web2: nothing travels, the host has all 3 files
  port 80 belongs to nginx.exe: docs/ROUTER.md tells how it moves behind the router
web3: 5.0 MB travel for 3 files of 3 (14.0 MB), and the helper: shipper was never here
`
	if exit != 0 || out != want {
		t.Errorf("exit %d %s\n%s", exit, errs, out)
	}
	if _, _, exit := shipper(t, hosts, "plan", "--bundle", bundle, "--release", "1"); exit != 2 {
		t.Errorf("both: exit %d", exit)
	}
}

func TestPlanTellsWhatToExpect(t *testing.T) {
	hosts := &scripted{expected: &journal.Forecast{Rate: 100, Seconds: 5, Errors: 0.001, Alpha: 0.001, Steps: []journal.ForecastStep{{
		Batch: 1, Step: 1, Hosts: 2, Weight: 500, WaitSeconds: 390, ProofSeconds: 89, Thin: "too little traffic: so it is",
		Cases: []journal.ForecastCase{{Errors: 1, Seconds: 1.6, Failed: 8}, {Errors: 0.05, Seconds: 21.3, Failed: 5.3}, {Errors: 0.02}},
	}, {Batch: 1, Step: 2, Hosts: 2, Weight: 500, CountsFrom: 3, Cases: []journal.ForecastCase{{Errors: 1, Seconds: 4, Failed: 20}, {Errors: 0.05}}}}}}
	bundle := filepath.Join(t.TempDir(), "orders.zip")
	if err := os.WriteFile(bundle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, exit := shipper(t, hosts, "plan", "--bundle", bundle)
	want := `expected at 100 requests/s, counted for 5.0 s, where stable fails 0.1 %, at alpha 0.001
  batch 1 step 1: 5% of the traffic on 2 hosts
    a dead release   found in 1.6 s, 8 requests fail
    5 % of it fail   found in 21 s, 5 requests fail
    2 % of it fail   not told from stable by this traffic
    a good release   passes after 1 min 29 s, the step waits 6 min 30 s at most
    ! too little traffic: so it is
  batch 1 step 2: 5% of the traffic on 2 hosts, by the hard rules alone: evidence counts from step 3 on
    a dead release   found in 4.0 s, 20 requests fail
    5 % of it fail   not judged yet
`
	if exit != 0 || out != want {
		t.Errorf("exit %d %s\n%s", exit, errs, out)
	}
	if out, _, _ := shipper(t, hosts, "plan", "--json", "--bundle", bundle); !strings.Contains(out, `"type":"forecast"`) || !strings.Contains(out, `"proof":89`) {
		t.Error(out)
	}
	for _, rate := range []string{"0", "-1", "NaN"} {
		if _, _, exit := shipper(t, hosts, "plan", "--bundle", bundle, "--rate", rate); exit != 2 {
			t.Errorf("--rate %s: exit %d", rate, exit)
		}
	}
}

func TestRollbackTo(t *testing.T) {
	hosts := &scripted{rollback: func(r pipeline.RollbackRequest) (pipeline.Result, error) {
		if r.To != "1.0.0" {
			return pipeline.Result{}, problem.New(problem.Failed, "kept: 1.0.0", "rollback: %s is not kept", r.To)
		}
		return pipeline.Result{State: rollout.RolledBack, Release: v1}, nil
	}}
	if _, errs, exit := shipper(t, hosts, "rollback", "--to", "1.0.0"); exit != 0 {
		t.Errorf("a rollback that worked is 0: %d %s", exit, errs)
	}
	if _, errs, exit := shipper(t, hosts, "rollback", "--to=0.9"); exit != 1 || !strings.Contains(errs, "hint: kept: 1.0.0") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}

func TestOverdue(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	late := overdue(ctx, time.Nanosecond)
	select {
	case <-late:
		t.Fatal("nobody interrupted")
	default:
	}
	cancel()
	<-late
	if graceOf("deploy") != grace || graceOf("lab up") != labGrace || exitCode("deploy", rollout.Lost, errOverdue("deploy")) != 5 {
		t.Error("grace")
	}
}
