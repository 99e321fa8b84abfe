package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/release"
)

const (
	blue  = app + "-blue"
	green = app + "-green"
)

func TestFirstAndSecondDeploy(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	r := m.acquire("r1", "deploy")
	got := r.start("1.0.0")
	if !got.First || got.Slot != release.Blue || got.Port != 8101 {
		t.Errorf("first start: %+v", got)
	}
	if stable, _ := m.proxy.weight(app); stable != "" {
		t.Errorf("route shows %q before the commit", stable)
	}
	if spec := m.scm.spec(blue); spec.Start != scm.Manual || spec.Recovery != nil || spec.Account != `NT SERVICE\orders-blue` {
		t.Errorf("canary's service: %+v", spec)
	}
	r.commit(0)
	r.release(runPromoted)
	m.serves(release.Blue, "1.0.0", blue)
	if spec := m.scm.spec(blue); spec.Start != scm.Auto || len(spec.Recovery) != 2 || spec.ResetPeriod == 0 {
		t.Errorf("stable's service: %+v", spec)
	}

	r = m.acquire("r2", "deploy")
	if got := r.start("1.1.0"); got.First || got.Slot != release.Green {
		t.Errorf("second start: %+v", got)
	}
	tr := r.weight(500)
	if tr.Weights[release.Green] != 500 || tr.Weights[release.Blue] != 9500 || !tr.Leased {
		t.Errorf("traffic: %+v", tr)
	}
	if err := m.c.Prepare(ctx, r.f); err != nil {
		t.Fatal(err)
	}
	r.commit(time.Minute)
	r.release(runPromoted)
	m.serves(release.Green, "1.1.0", blue, green)
	if spec := m.scm.spec(blue); spec.Start != scm.Manual || spec.Recovery != nil {
		t.Errorf("old slot's service: %+v", spec)
	}
	role, err := os.ReadFile(filepath.Join(m.layout.Service(app), "slots", "green", "role"))
	if err != nil || string(role) != "stable" {
		t.Errorf("role of the new stable: %q, %v", role, err)
	}
	m.clock.advance(time.Minute)
	m.eventually("the warm slot stops", func() bool { return len(m.scm.running()) == 1 })
	m.serves(release.Green, "1.1.0", green)
}

func TestEveryCallTwice(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	r := m.acquire("r2", "deploy")
	rel := r.push("1.1.0")
	_, files, _ := bundle("1.1.0")
	commit := rpc.Commit{Fenced: r.f, KeepWarm: time.Hour}
	ended := rpc.Ended{Fenced: r.f, State: runPromoted}
	rec := []journal.Record{record("r2", 1, "x")}
	calls := []struct {
		name string
		call func() (any, error)
	}{
		{"acquire", func() (any, error) { s, err := m.tryAcquire("r2", "deploy"); return s.Fence, err }},
		{"install", func() (any, error) {
			return nil, m.c.Install(ctx, rpc.Install{Fenced: r.f, Release: rel, Files: files})
		}},
		{"start", func() (any, error) { s, err := m.c.Start(ctx, r.startParams(rel)); s.Already = false; return s, err }},
		{"traffic", func() (any, error) {
			tr, err := m.c.SetTraffic(ctx, rpc.SetTraffic{Fenced: r.f, Weight: 500})
			return tr.Weights[release.Green], err
		}},
		{"append", func() (any, error) { return nil, m.c.Append(ctx, rpc.Append{Service: app, Run: "r2", Records: rec}) }},
		{"read", func() (any, error) { l, err := m.c.Read(ctx, rpc.Read{Service: app, Run: "r2"}); return len(l), err }},
		{"prepare", func() (any, error) { return nil, m.c.Prepare(ctx, r.f) }},
		{"commit", func() (any, error) { return m.c.Commit(ctx, commit) }},
		{"release", func() (any, error) { return nil, m.c.ReleaseSession(ctx, ended) }},
		{"commit afterwards", func() (any, error) { return m.c.Commit(ctx, commit) }},
		{"freeze", func() (any, error) { return nil, m.c.Freeze(ctx, rpc.Freeze{Service: app, By: "ann"}) }},
	}
	for _, c := range calls {
		first, err := c.call()
		second, again := c.call()
		if err != nil || again != nil || first != second {
			t.Errorf("%s: first %v (%v), second %v (%v)", c.name, first, err, second, again)
		}
	}
	m.serves(release.Green, "1.1.0", blue, green)
}

func TestStartsThatFail(t *testing.T) {
	tests := []struct {
		name string
		set  func(m *machine)
	}{
		{"does not start", func(m *machine) { m.scm.failing[green] = &scm.StartError{Service: green, Code: 1067} }},
		{"never listens", func(m *machine) { m.scm.deaf[green] = true }},
		{"may not log on as a service", func(m *machine) { m.scm.failing[green] = &scm.StartError{Service: green, Code: scm.CodeLogon} }},
		{"reports too late", func(m *machine) { m.scm.failing[green] = &scm.StartError{Service: green, Code: scm.CodeRequestTimeout} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMachine(t)
			m.deploy("r1", "1.0.0")
			r := m.acquire("r2", "deploy")
			rel := r.push("1.1.0")
			m.scm.edit(func() { tt.set(m) })
			result := make(chan error, 1)
			go func() {
				_, err := m.c.Start(context.Background(), r.startParams(rel))
				result <- err
			}()
			var err error
			m.eventually("the start ends", func() bool {
				m.clock.advance(100 * time.Millisecond)
				if _, err := m.c.Renew(context.Background(), r.f); err != nil {
					t.Fatal(err)
				}
				select {
				case err = <-result:
					return true
				default:
					return false
				}
			})
			m.code(err, rpc.CodeUnhealthy)
			_, err = m.c.SetTraffic(context.Background(), rpc.SetTraffic{Fenced: r.f, Weight: 1})
			m.code(err, rpc.CodeConflict)
			r.release(runFailed)
			m.serves(release.Blue, "1.0.0", blue)
		})
	}
}

func TestSlotWithTrafficIsNotReplaced(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	r.weight(500)
	_, err := m.c.Start(context.Background(), r.startParams(r.push("1.2.0")))
	m.code(err, rpc.CodeConflict)
	m.serving(release.Green, 500)
}

// serving checks the canary's share.
func (m *machine) serving(slot release.Slot, w release.Weight) {
	m.t.Helper()
	if _, got := m.proxy.weight(app); got != w {
		m.t.Errorf("%s gets %v, want %v", slot, got, w)
	}
}

func TestCheckSeesWhoAnswers(t *testing.T) {
	t.Parallel()
	m, r := underway(t)
	check := rpc.Check{Fenced: r.f, TCP: true, Interval: time.Second, Deadline: 3 * time.Second}
	result := make(chan rpc.CheckReply, 1)
	m.scm.edit(func() { m.scm.deaf[green] = true })
	go func() {
		got, err := m.c.Check(context.Background(), check)
		if err != nil {
			t.Error(err)
		}
		result <- got
	}()
	var got rpc.CheckReply
	m.eventually("the check gives up", func() bool {
		m.clock.advance(time.Second)
		if _, err := m.c.Renew(context.Background(), r.f); err != nil {
			t.Fatal(err)
		}
		select {
		case got = <-result:
			return true
		default:
			return false
		}
	})
	if got.OK || got.Detail == "" {
		t.Errorf("a stranger's port counts: %+v", got)
	}
	m.scm.crash(green, 7)
	got, err := m.c.Check(context.Background(), check)
	if err != nil || got.OK || !strings.Contains(got.Detail, "exit code 7") {
		t.Errorf("a dead instance: %+v, %v", got, err)
	}
}

func TestPruneAndRemove(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	for i, v := range []string{"1.0.0", "1.1.0", "1.2.0", "1.3.0", "1.4.0"} {
		m.deploy("r"+string(rune('1'+i)), v)
		m.settled()
	}
	r := m.acquire("p1", "prune")
	for _, dry := range []bool{true, false} {
		got, err := m.c.Prune(ctx, rpc.Prune{Fenced: r.f, Keep: 2, DryRun: dry})
		if err != nil || len(got.Removed) != 3 || len(got.Kept) != 2 || got.Bytes == 0 {
			t.Errorf("dry %v: %+v, %v", dry, got, err)
		}
	}
	if got, err := m.c.Prune(ctx, rpc.Prune{Fenced: r.f, Keep: 1}); err != nil || len(got.Removed) != 0 {
		t.Errorf("the previous one went: %+v, %v", got, err)
	}
	r.release(runPromoted)
	r = m.acquire("x1", "remove")
	for range 2 {
		if err := m.c.Remove(ctx, rpc.Remove{Fenced: r.f}); err != nil {
			t.Fatal(err)
		}
	}
	if st := m.status(); st.Known {
		t.Errorf("status: %+v", st)
	}
	if names, _ := m.scm.List(ctx, ""); len(names) != 0 {
		t.Errorf("services remain: %v", names)
	}
	for _, dir := range []string{m.layout.Service(app), filepath.Join(m.layout.Programs, "services", app), m.layout.Router()} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s remains: %v", dir, err)
		}
	}
	m.deploy("n1", "1.0.0")
	m.serves(release.Blue, "1.0.0", blue)
}

func TestHelpersInUseAreNotPruned(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	folder := func(word string) string {
		dir := filepath.Join(m.layout.Programs, "bin", string(release.Of([]byte(word))))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	old, source, image := folder("old"), folder("source"), folder("image")
	m.guard.opts.Sources = func() ([]string, error) { return []string{filepath.Join(source, "shipper-host.exe")}, nil }
	if err := m.scm.Ensure(context.Background(), scm.Spec{Name: "other-blue", Executable: filepath.Join(image, "shipper-host.exe")}); err != nil {
		t.Fatal(err)
	}
	if err := m.guard.pruneHelpers(context.Background()); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{old: false, source: true, image: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s stays %v: %v", dir, want, err)
		}
	}
	left := folder("left")
	m.guard.opts.Sources = func() ([]string, error) { return nil, errors.New("no rights") }
	if err := m.guard.pruneHelpers(context.Background()); err == nil {
		t.Error("pruned without knowing what is in use")
	}
	if _, err := os.Stat(left); err != nil {
		t.Error(err)
	}
}

func TestUninstall(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ctx := context.Background()
	m.deploy("r1", "1.0.0")
	_, err := Uninstall(ctx, m.layout, m.scm, "shipper-guard")
	m.code(err, rpc.CodeConflict)
	r := m.acquire("x", "remove")
	if err := m.c.Remove(ctx, rpc.Remove{Fenced: r.f}); err != nil {
		t.Fatal(err)
	}
	m.stop()
	left, err := Uninstall(ctx, m.layout, m.scm, "shipper-guard")
	if err != nil || left != "" {
		t.Errorf("%q, %v", left, err)
	}
	for _, dir := range []string{m.layout.Data, m.layout.Programs} {
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("%s remains: %v", dir, err)
		}
	}
}
