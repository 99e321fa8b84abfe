//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/examples/load"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/project"
)

// patience bounds how long a test waits for what a host does by itself.
const patience = 5 * time.Minute

// short is the lease of stories in which it ends: not so short that it ends
// while the machine is busy with something else.
const short = "12s"

// settled asks the hosts until cond holds for what they say.
func settled(t *testing.T, p *project.Project, what string, cond func(*project.Process) bool) *project.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		st, err := p.Run(ctx, nil, "status")
		if err == nil && cond(st) {
			return st
		}
		if ctx.Err() != nil {
			t.Fatalf("%s did not happen\n%s%s", what, st.Stderr(), story(st))
		}
	}
}

// lost reports whether status tells that the run was lost and all hosts are
// back on a version.
func lost(version string) func(*project.Process) bool {
	return func(st *project.Process) bool {
		res := st.Result()
		return res.State == "Lost" && res.Release.Version == version && noCanary(st)
	}
}

// allLost reports whether every host took its run for lost.
func allLost(st *project.Process) bool {
	_, _, other := project.Find(st.Records(), journal.TypeServiceState, func(_ journal.Record, s rpc.ServiceStatus) bool {
		return s.Run == nil || s.Run.State != "Lost"
	})
	return !other
}

// noCanary reports whether no slot has leased traffic on any host.
func noCanary(st *project.Process) bool {
	_, _, leased := project.Find(st.Records(), journal.TypeServiceState, func(_ journal.Record, s rpc.ServiceStatus) bool {
		return s.Traffic != nil && s.Traffic.Leased
	})
	return !leased
}

func TestKilledControllerInCanary(t *testing.T) {
	p := theBench(t).project(t, project.Config{})
	deploy(t, p, "1.0.0", "", 0)
	configure(t, p, project.Config{Steps: "[{setWeight: 5}, {pause: {}}]", Lease: short})
	g, stop := traffic(t, p)
	killed(t, p, weightOf("", 500))
	settled(t, p, "the return to stable", lost("1.0.0"))
	more(t, g, "1.0.0", 100)
	anotherMachineFinishes(t, p, g)
	wantNoneLost(t, stop())
	wantDriftMended(t, p)
}

// anotherMachineFinishes tries the lost run again knowing nothing but what the
// hosts do, and brings it to its end.
func anotherMachineFinishes(t *testing.T, p *project.Project, g *load.Generator) {
	t.Helper()
	if err := p.Forget(); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "retry")
	if err := run.Until(weightOf("", 500)); err != nil {
		t.Fatal(err)
	}
	more(t, g, "1.1.0", 5)
	shipper(t, p, 0, "promote", "--full")
	if err := run.Done(); err != nil || run.Exit() != 0 {
		t.Fatalf("retry: exit code %d, %v\n%s%s", run.Exit(), err, run.Stderr(), story(run))
	}
	runs(t, p, "1.1.0")
}

// wantDriftMended changes a service behind shipper's back: status and plan
// tell it, and the next deploy leaves nothing of it.
func wantDriftMended(t *testing.T, p *project.Project) {
	t.Helper()
	b := theBench(t)
	st := shipper(t, p, 0, "status")
	if d := drifts(st); d != nil {
		t.Fatalf("drift before anything was changed: %v", d)
	}
	_, now, _ := project.Find(st.Records(), journal.TypeServiceState, func(_ journal.Record, s rpc.ServiceStatus) bool { return s.Stable != "" })
	for _, h := range b.lab.Hosts() {
		b.exec(t, h.Name, `sc.exe description `+now.Stable.Service(p.Service())+` changed`)
	}
	if d := drifts(shipper(t, p, 0, "status")); len(d) != len(b.lab.Hosts()) || d[0].What != "description" || d[0].Have != "changed" {
		t.Errorf("drift told by status: %+v", d)
	}
	nextDeployWorks(t, p)
	if d := drifts(shipper(t, p, 0, "status")); d != nil {
		t.Errorf("drift after a deploy: %+v", d)
	}
}

// drifts are the differences that status told, of all hosts.
func drifts(st *project.Process) (all []journal.Drift) {
	project.Find(st.Records(), journal.TypeServiceState, func(_ journal.Record, s journal.ServiceState) bool {
		all = append(all, s.Drift...)
		return false
	})
	return all
}

func TestKilledControllerAfterTheFirstBatch(t *testing.T) {
	b := theBench(t)
	hosts := b.lab.Hosts()
	p := b.project(t, project.Config{})
	deploy(t, p, "1.0.0", "", 0)
	configure(t, p, project.Config{
		Steps: "[{setWeight: 5}, {pause: 1s}]", Rollout: "  laterSteps: [{setWeight: 5}, {pause: {}}]\n", Bake: "0s", Lease: short,
		Batches: fmt.Sprintf("[[%s], [%s]]", hosts[0].Name, hosts[1].Name),
	})
	_, stop := traffic(t, p)
	killed(t, p, weightOf(hosts[0].Name, 10000))
	settled(t, p, "the return to stable", lost("1.0.0"))
	wantNoneLost(t, stop())
	nextDeployWorks(t, p)
}

// killed deploys the next version and kills the controller once cond holds.
func killed(t *testing.T, p *project.Project, cond func([]journal.Record) bool) {
	t.Helper()
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	if err := run.Until(cond); err != nil {
		t.Fatal(err)
	}
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.Done()
}

func nextDeployWorks(t *testing.T, p *project.Project) {
	t.Helper()
	if err := p.Configure(unattended()); err != nil {
		t.Fatal(err)
	}
	_, stop := traffic(t, p)
	deploy(t, p, "1.2.0", "", 0)
	wantNoneLost(t, stop())
	runs(t, p, "1.2.0")
}

func TestFrozenControllerIsFenced(t *testing.T) {
	p := theBench(t).project(t, project.Config{})
	deploy(t, p, "1.0.0", "", 0)
	configure(t, p, project.Config{Steps: "[{setWeight: 5}, {pause: {}}]", Lease: short})
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	if err := run.Until(weightOf("", 500)); err != nil {
		t.Fatal(err)
	}
	signal(t, run, syscall.SIGSTOP)
	settled(t, p, "the return to stable of all hosts", func(st *project.Process) bool { return lost("1.0.0")(st) && allLost(st) })
	signal(t, run, syscall.SIGCONT)
	if err := run.Done(); err != nil {
		t.Fatal(err)
	}
	if res := run.Result(); run.Exit() != 1 || res.State != "Lost" {
		t.Errorf("the woken controller: exit code %d, state %s, want 1 and Lost\n%s", run.Exit(), res.State, story(run))
	}
	runs(t, p, "1.0.0")
}

func signal(t *testing.T, run *project.Process, s syscall.Signal) {
	t.Helper()
	if err := run.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestInterruptedControllerAborts(t *testing.T) {
	p := theBench(t).project(t, project.Config{Steps: "[{setWeight: 5}, {pause: 10m}]"})
	deploy(t, p, "1.0.0", "", 0)
	_, stop := traffic(t, p)
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	if err := run.Until(weightOf("", 500)); err != nil {
		t.Fatal(err)
	}
	signal(t, run, os.Interrupt.(syscall.Signal))
	if err := run.Done(); err != nil || run.Exit() != 5 {
		t.Errorf("exit code %d, want 5: %v\n%s", run.Exit(), err, story(run))
	}
	settled(t, p, "the return to stable", func(st *project.Process) bool { // by the hosts, where there was no time for it
		return st.Exit() == 0 && st.Result().Release.Version == "1.0.0" && noCanary(st)
	})
	wantNoneLost(t, stop())
}

// ownLab is a lab that a test may hurt.
func (b *bench) ownLab(t *testing.T, hosts int) *lab.Lab {
	t.Helper()
	name := fmt.Sprintf("e2e-%d-%d", os.Getpid(), b.ports.Add(1))
	l, err := lab.Up(t.Context(), b.options(name, hosts))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestPowerCutInCanary(t *testing.T) {
	b := theBench(t)
	l := b.ownLab(t, 2)
	p := b.projectOn(t, l.Hosts(), project.Config{})
	deploy(t, p, "1.0.0", "", 0)
	configure(t, p, project.Config{Steps: "[{setWeight: 5}, {pause: {}}]", Lease: short})
	if err := p.Version(t.Context(), "1.1.0", ""); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	if err := run.Until(weightOf("", 500)); err != nil {
		t.Fatal(err)
	}
	if err := l.Reboot(t.Context(), l.Hosts()[0].Name, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := run.Done(); err != nil || !slices.Contains([]int{3, 9, 1}, run.Exit()) { // 9: nobody saw the host go back
		t.Errorf("exit code %d, want 3, 9 or 1: %v\n%s", run.Exit(), err, story(run))
	}
	st := settled(t, p, "the return to stable", func(st *project.Process) bool {
		return st.Result().Release.Version == "1.0.0" && st.Exit() == 0 && noCanary(st) && serving(st)
	})
	t.Log(story(st))
	nextDeployWorks(t, p)
}

// serving reports whether each host's stable slot runs.
func serving(st *project.Process) bool {
	n := 0
	for _, r := range st.Records() {
		_, s, ok := project.Find[rpc.ServiceStatus]([]journal.Record{r}, journal.TypeServiceState, nil)
		if ok && s.Stable != "" && s.Slots[s.Stable].Live.State == "running" {
			n++
		}
	}
	return n > 0
}

// What arrived before a power cut is no release; the push goes on from there.
func TestPowerCutInPush(t *testing.T) {
	b := theBench(t)
	l := b.ownLab(t, 1)
	p := b.projectOn(t, l.Hosts(), unattended())
	deploy(t, p, "1.0.0", "", 0)
	if err := l.SetFaults(t.Context(), l.Hosts()[0].Name, lab.Faults{Latency: 200 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Forget(), p.Version(t.Context(), "1.1.0", "")); err != nil {
		t.Fatal(err)
	}
	run := start(t, p, "deploy")
	pushing := func(records []journal.Record) bool {
		_, _, ok := project.Find(records, journal.TypeProgress, func(_ journal.Record, p journal.Progress) bool { return p.What == "push" })
		return ok
	}
	if err := run.Until(pushing); err != nil {
		t.Fatal(err)
	}
	if err := l.Reboot(t.Context(), l.Hosts()[0].Name, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := run.Done(); err != nil || run.Exit() != 0 {
		t.Errorf("exit code %d, want the push to go on after the boot: %v\n%s", run.Exit(), err, story(run))
	}
	settled(t, p, "the new release at work", func(st *project.Process) bool {
		return st.Result().Release.Version == "1.1.0" && serving(st)
	})
	nextDeployWorks(t, p)
}

func TestBreakGlassOnTheHost(t *testing.T) {
	b := theBench(t)
	p := b.project(t, unattended())
	deploy(t, p, "1.0.0", "", 0)
	deploy(t, p, "1.1.0", "", 0)
	for _, h := range b.lab.Hosts() {
		b.exec(t, h.Name, `"C:\Program Files\shipper\bin\shipper-host.exe" rollback `+p.Service())
	}
	runs(t, p, "1.0.0")
}
