package pipeline

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/rollout"
)

const secretValue = `hunter2 "with" \quotes`

// configured gives the bed files that hold variables and a secret.
func (b *bed) configured(level string) *Pipeline {
	b.t.Helper()
	dir := b.t.TempDir()
	for name, text := range map[string]string{
		"app.json": `{"level": "none", "kept": [1, 2]}`, "open.ini": "level={{.Vars.level}}\n",
		"shipper.yaml": `service:
  name: orders
  vars: {level: ` + level + `}
  secrets: {DB: "${env:CONFIG_TEST_DB}"}
  files:
    - {from: app.json, to: etc/app.json, set: {level: "{{.Vars.level}}", db: "{{.Secrets.DB}}", port: "{{.Port}}"}}
    - {from: open.ini, template: true}
traffic: {listen: ":8080"}
environments: {test: {hosts: [web1], transport: {type: local}}}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
	f, err := config.Load(filepath.Join(dir, "shipper.yaml"))
	if err != nil {
		b.t.Fatal(err)
	}
	target, err := f.Target("test")
	if err != nil {
		b.t.Fatal(err)
	}
	p := b.pipeline()
	p.Target.Path, p.Target.Service.Files = target.Path, target.Service.Files
	p.Target.Service.Vars, p.Target.Service.Secrets = target.Service.Vars, target.Service.Secrets
	return p
}

// A changed setting alone is a new revision of the same release, and what is
// secret stands in the file of the slot and nowhere else.
func TestConfigurationIsPartOfTheRevision(t *testing.T) {
	t.Setenv("CONFIG_TEST_DB", secretValue)
	b := newBed(t)
	b.load()
	bundle := b.bundle("1.0.0")
	deploy := func(level string) {
		t.Helper()
		res, err := b.configured(level).Deploy(t.Context(), DeployRequest{Bundle: bundle})
		b.want(res, err, rollout.Promoted, 0)
	}
	deploy("info")
	deploy("debug")
	if !strings.Contains(b.story(), journal.TypePush) || strings.Contains(b.story(), "already running") {
		t.Errorf("a changed setting was no deploy\n%s", b.story())
	}
	found := map[string]int{}
	err := filepath.WalkDir(b.machines["web1"].root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Base(path) == "app.json" {
			for _, level := range []string{"info", "debug"} {
				if bytes.Contains(text, []byte(`"level": "`+level+`"`)) && bytes.Contains(text, []byte(`"db": "hunter2 \"with\" \\quotes"`)) && bytes.Contains(text, []byte(`"kept"`)) {
					found[level]++
				}
			}
			if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 || bytes.Contains(text, []byte("{{")) {
				t.Errorf("%s: mode %v, %v\n%s", path, info.Mode(), err, text)
			}
		} else if bytes.Contains(text, []byte("hunter2")) {
			t.Errorf("%s holds the secret", path)
		}
		return nil
	})
	if err != nil || found["info"] != 1 || found["debug"] != 1 {
		t.Errorf("configurations of the slots: %v, %v", found, err)
	}
	if strings.Contains(b.story(), "hunter2") {
		t.Error("the secret was told")
	}
	res, err := b.pipeline().Rollback(t.Context(), RollbackRequest{})
	b.want(res, err, rollout.RolledBack, 0)
}
