package scm_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/scm"
)

func newProcesses(t *testing.T, dir string) *scm.Processes {
	t.Helper()
	p, err := scm.NewProcesses(scm.ProcessOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func executable(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func TestProcessesContract(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			testContract(t, bench{Manager: newProcesses(t, dir), prefix: "svc", exe: executable(t)})
		})
	}
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func child1(t *testing.T, name string, args ...string) scm.Spec {
	return scm.Spec{Name: name, Executable: executable(t), Args: append([]string{childArg}, args...), Start: scm.Manual}
}

func TestRecoveryRestartsAfterCrash(t *testing.T) {
	ctx, p := deadline(t), newProcesses(t, "")
	s := child1(t, "a", "serve")
	s.Recovery = []time.Duration{0}
	if err := p.Ensure(ctx, s); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the last action repeats
		before, _ := p.Status(ctx, "a")
		crash(t, before.PID)
		_, err := p.Wait(ctx, "a", func(s scm.Status) bool { return s.State == scm.Running && s.PID != before.PID })
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoRecoveryWithoutActionsOrAfterStop(t *testing.T) {
	ctx, p := deadline(t), newProcesses(t, "")
	s := child1(t, "a", "serve")
	for _, recovery := range [][]time.Duration{nil, {time.Hour}} {
		s.Recovery = recovery
		if err := p.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		before, _ := p.Status(ctx, "a")
		crash(t, before.PID)
		got, err := p.Wait(ctx, "a", func(s scm.Status) bool { return s.State == scm.Stopped })
		if err != nil || got.Exit != 128+9 {
			t.Fatalf("status = %+v, %v, want exit 137", got, err)
		}
		if err := p.Stop(ctx, "a", time.Second); err != nil { // cancels the action that is due
			t.Fatal(err)
		}
	}
}

func TestBootStartsAutomaticServicesFromDisk(t *testing.T) {
	ctx, dir := deadline(t), t.TempDir()
	before := newProcesses(t, dir)
	auto, dep, manual := child1(t, "a-auto", "serve"), child1(t, "z-dep", "serve"), child1(t, "b-manual", "serve")
	auto.Start, auto.DependsOn = scm.Auto, []string{"z-dep"}
	for _, s := range []scm.Spec{auto, dep, manual} {
		if err := before.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	before.Close()

	after := newProcesses(t, dir)
	names, _ := after.List(ctx, "")
	if want := []string{"a-auto", "b-manual", "z-dep"}; !slices.Equal(names, want) {
		t.Fatalf("list = %q, want %q", names, want)
	}
	if err := after.Boot(ctx); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]scm.State{"a-auto": scm.Running, "z-dep": scm.Running, "b-manual": scm.Stopped} {
		if s, _ := after.Status(ctx, name); s.State != want {
			t.Errorf("%s is %s, want %s", name, s.State, want)
		}
	}
}

func TestCircularDependency(t *testing.T) {
	ctx, p := deadline(t), newProcesses(t, "")
	a, b := child1(t, "a", "serve"), child1(t, "b", "serve")
	a.DependsOn, b.DependsOn = []string{"b"}, []string{"a"}
	for _, s := range []scm.Spec{a, b} {
		if err := p.Ensure(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Start(ctx, "a"); err == nil {
		t.Error("no error")
	}
}

func TestCloseKillsAll(t *testing.T) {
	ctx, p := deadline(t), newProcesses(t, "")
	l := rendezvous(t)
	if err := p.Ensure(ctx, child1(t, "a", "deaf-with-child", l.Addr().String())); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	grandchild := meetConn(t, l)
	readPort(t, grandchild) // it has said all it has to say
	p.Close()
	grandchild.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := grandchild.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the grandchild lives: %v", err)
	}
	if err := p.Start(ctx, "a"); err == nil {
		t.Error("start after close: no error")
	}
}
