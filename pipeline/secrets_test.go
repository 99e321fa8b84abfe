package pipeline

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/rollout"
)

// secretOf is what the configuration of a slot's instance holds.
func (b *bed) secretOf(value string) bool {
	b.t.Helper()
	st := b.stable("1.0.0").Hosts[0].Status
	files, err := filepath.Glob(filepath.Join(b.machines["web1"].layout.Service("orders"), "slots", string(st.Stable), "config", "etc", "app.json"))
	if err != nil || len(files) != 1 {
		b.t.Fatalf("configuration of the slot: %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		b.t.Fatal(err)
	}
	return bytes.Contains(text, []byte(value))
}

// A way back restores the configuration, and the secrets as it is told to.
func TestSecretsOfAWayBack(t *testing.T) {
	t.Setenv("CONFIG_TEST_DB", "the-first-one")
	b := newBed(t)
	b.steps()
	pids := map[uint32]bool{}
	ship := func(version, level string) {
		t.Helper()
		res, err := b.configured(level).Deploy(t.Context(), DeployRequest{Bundle: b.bundle(version)})
		b.want(res, err, rollout.Promoted, 0)
	}
	back := func(how, want string) {
		t.Helper()
		b.forget()
		p := b.configured("any")
		p.Target.Rollback.Secrets = how
		res, err := p.Rollback(t.Context(), RollbackRequest{To: "1.0.0"})
		b.want(res, err, rollout.RolledBack, 0)
		if !b.secretOf(want) || !b.secretOf("info") {
			t.Errorf("secrets: %s: not %s, or another configuration\n%s", how, want, b.story())
		}
		if strings.Contains(b.story(), "the-first-one") || strings.Contains(b.story(), "the-next-one") {
			t.Error("a secret was told")
		}
		st := b.stable("1.0.0").Hosts[0].Status
		pids[st.Slots[st.Stable].Live.PID] = true
	}
	ship("1.0.0", "info")
	st := b.stable("1.0.0").Hosts[0].Status
	pids[st.Slots[st.Stable].Live.PID] = true
	ship("1.1.0", "debug")
	t.Setenv("CONFIG_TEST_DB", "the-next-one")
	back(config.SecretsRelease, "the-first-one")
	if len(pids) != 1 {
		t.Error("the warm instance was started anew")
	}
	ship("1.2.0", "debug")
	back(config.SecretsCurrent, "the-next-one")
	if len(pids) != 2 {
		t.Error("the warm instance goes on with a secret that is no more")
	}
	ship("1.3.0", "debug")
	back(config.SecretsCurrent, "the-next-one")
	if len(pids) != 2 {
		t.Error("an instance that has the present secrets was started anew")
	}
	ship("1.4.0", "debug")
	os.Unsetenv("CONFIG_TEST_DB")
	back(config.SecretsCurrent, "the-next-one")
	if !strings.Contains(b.story(), "the present secrets are not to be had") {
		t.Errorf("nothing is said of missing secrets\n%s", b.story())
	}
}
