package pipeline

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/examples/load"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// solo is a service manager that does not allow both slots at the same time.
type solo struct {
	scm.Manager
	t *testing.T
}

func (m solo) Start(ctx context.Context, name string) error {
	for _, slot := range []release.Slot{release.Blue, release.Green} {
		other := slot.Service("orders")
		if st, err := m.Manager.Status(ctx, other); other != name && strings.HasPrefix(name, "orders-") && err == nil && st.State != scm.Stopped && st.State != scm.Absent {
			m.t.Errorf("%s is started while %s is %s", name, other, st.State)
		}
	}
	return m.Manager.Start(ctx, name)
}

func (b *bed) instances() {
	b.machines["web1"] = newMachineWith(b.t, "web1", func(m scm.Manager) scm.Manager { return solo{m, b.t} })
}

// TestRecreateLosesNoRequest: forwards, back, and where the new release is
// bad; requests wait while neither instance is there.
func TestRecreateLosesNoRequest(t *testing.T) {
	b := newBed(t)
	b.instances()
	b.target.Rollout.Strategy, b.target.Rollout.Hold = rollout.Recreate, 20*time.Second
	b.target.Service.Data, b.target.Rollout.Steps = "exclusive", nil
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	ctx, stop := context.WithCancel(context.Background())
	g := load.Start(ctx, load.Options{URLs: []string{"http://" + b.target.Traffic.Listen + "/orders"}, Rate: 200, Timeout: time.Minute})
	defer stop()
	answers := func(r load.Report, slot string) (n int64) {
		for key, c := range r.Answers {
			if key.Slot == slot {
				n += c.OK
			}
		}
		return n
	}
	answered := func(slot string) {
		t.Helper()
		limited, done := context.WithTimeout(t.Context(), time.Minute)
		defer done()
		if err := g.Until(limited, func(r load.Report) bool { return answers(r, slot) > 20 }); err != nil {
			t.Fatalf("nobody got an answer of slot %s: %v", slot, err)
		}
	}
	answered("blue")
	res, err = b.deploy(t.Context(), "1.1.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	answered("green")
	blue := answers(g.Report(), "blue")
	res, err = b.deploy(t.Context(), "1.2.0", map[string]string{"ORDERS_UNHEALTHY": "true"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	res, err = b.deploy(t.Context(), "1.3.0", map[string]string{"ORDERS_FAIL_START": "true"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	b.stable("1.1.0")
	if n := answers(g.Report(), "blue"); n != blue {
		t.Errorf("%d requests reached a release that failed its checks", n-blue)
	}
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	b.stable("1.0.0")
	stop()
	r := g.Wait()
	for key, n := range r.Answers {
		if n.Failed > 0 {
			t.Errorf("%+v: %d good, %d failed: %s", key, n.OK, n.Failed, n.Example)
		}
	}
	for loss, n := range r.Losses {
		t.Errorf("%d requests %s: %s", n.Failed, loss, n.Example)
	}
}

// role is what an instance on a host reads of its role.
func (b *bed) role(host string, slot release.Slot) string {
	b.t.Helper()
	role, err := os.ReadFile(filepath.Join(b.machines[host].layout.Service("orders"), "slots", string(slot), "role"))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(role)
}

func (b *bed) roles(slot release.Slot, live ...string) {
	b.t.Helper()
	st := b.pipeline().look(b.t.Context(), b.pipeline().fleet())
	for _, h := range st {
		if got := [2]string{b.role(h.Host, slot), b.role(h.Host, slot.Other())}; got != [2]string{"stable", "canary"} {
			b.t.Errorf("%s: slot %s is %s, the other %s", h.Host, slot, got[0], got[1])
		}
		var running []string
		for slot, s := range h.Status.Slots {
			if s.Live.State == "running" {
				running = append(running, string(slot))
			}
		}
		slices.Sort(running)
		if !slices.Equal(running, live) {
			b.t.Errorf("%s: running %v, want %v", h.Host, running, live)
		}
	}
}

// TestWorkers: without a router the share of a canary is that of its hosts;
// roles move with the commit, and back with a rollback.
func TestWorkers(t *testing.T) {
	for _, strategy := range []string{rollout.Rolling, rollout.Recreate} {
		t.Run(strategy, func(t *testing.T) {
			b := newFleet(t)
			b.target.Rollout.Strategy, b.target.Rollout.KeepWarm = strategy, 0
			b.target.Rollout.Batches = []config.Batch{{Size: config.Amount{N: 1}}, {Size: config.Amount{N: 100, Percent: true}}}
			b.target.Rollout.MaxUnavailable = config.Amount{N: 2}
			b.forget()
			checked := false
			p := b.pipeline()
			p.Emit = func(r journal.Record) {
				if r.Type == journal.TypePrepared && !checked { // at 100 %, and nothing is confirmed
					checked = true
					for name := range b.machines {
						if got := b.role(name, release.Green); got != "canary" {
							t.Errorf("%s: an unconfirmed instance is told to be %s", name, got)
						}
					}
				}
				b.emit(r)
			}
			res, err := p.Deploy(t.Context(), DeployRequest{Bundle: b.bundle("1.1.0")})
			b.want(res, err, rollout.Promoted, 0)
			if got := b.started(); got != "web1|web2 web3" || !checked {
				t.Errorf("started %s", got)
			}
			b.cooled()
			b.roles(release.Green, "green")

			b.forget()
			b.target.Service.Env = nil
			for _, m := range b.machines {
				m.blink()
			}
			res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
			b.want(res, err, rollout.RolledBack, 0)
			b.cooled()
			b.roles(release.Blue, "blue")
		})
	}
}

// started lists the hosts in the order of their starts, batches apart.
func (b *bed) started() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var batches []string
	var batch []string
	for _, r := range b.records {
		switch {
		case r.Type == journal.TypeStarted:
			batch = append(batch, r.Host)
		case r.Type == journal.TypeStep && len(batch) > 0:
			slices.Sort(batch)
			batches, batch = append(batches, strings.Join(batch, " ")), nil
		}
	}
	return strings.Join(batches, "|")
}

// cooled waits until no host runs two instances.
func (b *bed) cooled() {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		warm := ""
		for _, h := range b.pipeline().look(b.t.Context(), b.pipeline().fleet()) {
			n := 0
			for _, s := range h.Status.Slots {
				if s.Live.State != "stopped" && s.Live.State != "absent" {
					n++
				}
			}
			if n > 1 || h.Err != nil {
				warm += fmt.Sprint(h.Host, " ", n, h.Err, " ")
			}
		}
		if warm == "" {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("two instances: %s", warm)
		}
	}
}

// TestPreview: who chooses the new release gets it before its promotion, and
// nobody else does.
func TestPreview(t *testing.T) {
	b := newBed(t)
	b.target.Rollout.Strategy, b.target.Traffic.Match = rollout.BlueGreen, config.Match{Header: "X-Canary"}
	b.steps(config.Step{Pause: forever()})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	b.forget()
	run := b.begin(func() (Result, error) { return b.deploy(t.Context(), "1.1.0", nil) })
	run.until(journal.TypePaused)
	slot := func(choice string) string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.target.Traffic.Listen+"/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Canary", choice)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.Header.Get("X-Slot")
	}
	for range 20 {
		if got := slot("always") + " " + slot(""); got != "green blue" {
			t.Fatalf("who chooses and who does not get %s", got)
		}
	}
	if _, err := b.pipeline().Ask(t.Context(), "promote"); err != nil {
		t.Error(err)
	}
	e := run.end()
	b.want(e.res, e.err, rollout.Promoted, 0)
	if got := slot(""); got != "green" {
		t.Errorf("after the promotion: %s", got)
	}
}
