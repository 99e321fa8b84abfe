package pipeline

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// hookProgram is what the test binary does as a hook: FILE FAILING-STAGE, or a
// file that it needs at beforeStart.
func hookProgram(file, failing string) int {
	stage := os.Getenv("SHIPPER_STAGE")
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	defer f.Close()
	fmt.Fprintf(f, "%s %s %s %s\n", stage, os.Getenv("SHIPPER_VERB"), os.Getenv("SHIPPER_VERSION"), os.Getenv("SHIPPER_STATE"))
	_, missing := os.Stat(failing)
	if stage == failing || filepath.IsAbs(failing) && stage == "beforeStart" && missing != nil {
		fmt.Fprintln(os.Stderr, "the token "+os.Getenv("HOOK_TOKEN")+" was refused")
		return 3
	}
	return 0
}

var everyStage = []string{"beforeBuild", "afterBuild", "beforePush", "afterPush", "beforeStart", "afterStart", "beforeShift", "afterShift", "beforePromote", "beforeRollback", "promoted", "rolledBack", "aborted", "failed", "paused", "ended"}

// hook makes the test binary the hook of all stages, and tells what it saw.
func (b *bed) hook(failing string) func() string {
	b.t.Setenv("SHIPPER_TEST_HOOK", "s3cret")
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(b.t.TempDir(), "seen")
	b.target.Hooks = []config.Hook{{Name: "diary", On: everyStage, Exec: &config.Program{
		Command: []string{self, "hook", file, failing}, Env: map[string]string{"HOOK_TOKEN": "${env:SHIPPER_TEST_HOOK}"}, Timeout: time.Minute,
	}}}
	return func() string {
		seen, _ := os.ReadFile(file)
		os.Remove(file)
		return string(seen)
	}
}

func TestHooksOfEveryOutcome(t *testing.T) {
	b := newBed(t)
	b.steps()
	seen := b.hook("")
	want := func(lines ...string) {
		t.Helper()
		if got := seen(); got != strings.Join(lines, "\n")+"\n" {
			t.Errorf("hooks saw\n%swant\n%s", got, strings.Join(lines, "\n"))
		}
	}
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	want("beforePush deploy 1.0.0 ", "afterPush deploy 1.0.0 ", "beforeStart deploy 1.0.0 ", "afterStart deploy 1.0.0 ", "beforeShift deploy 1.0.0 ", "afterShift deploy 1.0.0 ",
		"beforePromote deploy 1.0.0 ", "promoted deploy 1.0.0 Promoted", "ended deploy 1.0.0 Promoted")
	res, err = b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_UNHEALTHY": "true"})
	b.want(res, err, rollout.RolledBack, problem.RolledBack)
	want("beforePush deploy 1.1.0 ", "afterPush deploy 1.1.0 ", "beforeStart deploy 1.1.0 ", "rolledBack deploy 1.1.0 RolledBack", "ended deploy 1.1.0 RolledBack")
	res, err = b.deploy(t.Context(), "1.2.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	seen()
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	want("beforeRollback rollback 1.0.0 ", "rolledBack rollback 1.0.0 RolledBack", "ended rollback 1.0.0 RolledBack")
	if strings.Contains(b.story(), "s3cret") || !strings.Contains(b.story(), "diary at promoted: done") {
		t.Errorf("the journal\n%s", b.story())
	}
}

// TestAHookThatFails stops a run before anything happened; later it takes the
// place of nothing, and its secret is not told.
func TestAHookThatFails(t *testing.T) {
	b := newBed(t)
	b.steps()
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	for _, stage := range []string{"beforePush", "beforeStart"} {
		b.hook(stage)
		res, err = b.deploy(t.Context(), "1.1.0", nil)
		if b.want(res, err, rollout.Failed, problem.Failed); err == nil || !strings.Contains(err.Error(), "hook diary at "+stage) ||
			!strings.Contains(err.Error(), "exit status 3: the token *** was refused") {
			t.Errorf("%s: %v", stage, err)
		}
		b.stable("1.0.0")
	}
	b.forget()
	for _, stage := range []string{"afterStart", "beforeShift", "afterShift", "beforePromote"} { // the run goes back for it
		b.hook(stage)
		res, err = b.deploy(t.Context(), "1.1.0", nil)
		if b.want(res, err, rollout.RolledBack, problem.RolledBack); err == nil || !strings.Contains(err.Error(), "on web1: hook diary at "+stage) {
			t.Errorf("%s: %v", stage, err)
		}
		b.stable("1.0.0")
	}
	for _, stage := range []string{"rolledBack", "ended"} {
		b.hook(stage)
		res, err = b.deploy(t.Context(), "1.1.0", map[string]string{"ORDERS_FAIL_START": "true"})
		if b.want(res, err, rollout.RolledBack, problem.RolledBack); err == nil || strings.Contains(err.Error(), "diary") {
			t.Errorf("%s masks: %v", stage, err)
		}
	}
	b.hook("promoted")
	res, err = b.deploy(t.Context(), "1.2.0", nil)
	if b.want(res, err, rollout.Promoted, 0); err != nil {
		t.Error(err)
	}
	b.hook("beforeRollback") // a rescue asks nobody
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
	if strings.Contains(b.story(), "s3cret") {
		t.Errorf("the journal tells the secret\n%s", b.story())
	}
	b.hook("")
	b.target.Hooks[0].Exec.Env["HOOK_TOKEN"] = "${env:SHIPPER_TEST_HOOK_THAT_IS_NOT_SET}"
	res, err = b.deploy(t.Context(), "1.3.0", nil)
	b.want(res, err, rollout.Failed, problem.Usage)
}

// A program of the release runs on the host, before the instance starts and
// later; one that fails is the host's failure.
func TestHooksOnHosts(t *testing.T) {
	b := newBed(t)
	b.steps()
	hook := config.Hook{Name: "migrate", On: config.OnHosts(), Host: &config.HostProgram{Command: []string{"orders", "migrate", "0"}, Timeout: time.Minute}}
	b.target.Hooks = []config.Hook{hook}
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	for _, stage := range config.OnHosts() {
		if !strings.Contains(b.story(), "migrate at "+stage+": done") {
			t.Errorf("nothing ran at %s\n%s", stage, b.story())
		}
	}
	for _, stage := range config.OnHosts() {
		hook.On, hook.Host = []string{stage}, &config.HostProgram{Command: []string{"orders", "migrate", "7"}, Timeout: time.Minute}
		b.target.Hooks = []config.Hook{hook}
		res, err = b.deploy(t.Context(), "1.1.0", nil)
		if b.want(res, err, rollout.RolledBack, problem.RolledBack); err == nil || !strings.Contains(err.Error(), "exit code 7") {
			t.Errorf("%s: %v", stage, err)
		}
		b.stable("1.0.0")
	}
	res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{}) // a way back asks none
	if err == nil || !strings.Contains(err.Error(), "no committed revision") {
		t.Errorf("%s: %v", res.State, err)
	}
}

func TestWebhooks(t *testing.T) {
	b := newBed(t)
	b.steps()
	var mu sync.Mutex
	var heard []told
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var one told
		if err := json.NewDecoder(r.Body).Decode(&one); err != nil || r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer s3cret" {
			t.Errorf("%s, %v, %v", r.Method, r.Header, err)
		}
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, one)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer s.Close()
	t.Setenv("SHIPPER_TEST_HOOK", "s3cret")
	b.target.Hooks = []config.Hook{{Name: "chat", On: []string{"promoted"}, Web: &config.Webhook{URL: s.URL, Token: "${env:SHIPPER_TEST_HOOK}", Timeout: time.Minute}}}
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	mu.Lock()
	defer mu.Unlock()
	if len(heard) != 1 || heard[0].Run != res.Run || heard[0].State != rollout.Promoted || heard[0].Version != "1.0.0" || heard[0].Owner != "tester@here" {
		t.Errorf("heard %+v", heard)
	}
	if story := b.story(); !strings.Contains(story, "hook chat at promoted: status 418") || strings.Contains(story, "s3cret") {
		t.Errorf("story\n%s", story)
	}
}
