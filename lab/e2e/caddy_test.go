//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/project"
)

const caddyYAML = `service:
  name: caddy
  mode: console
  binary: caddy
  args: [run, --config, '{{.ConfigDir}}\Caddyfile', --adapter, caddyfile]
  env: {AppData: '{{.DataDir}}', LocalAppData: '{{.DataDir}}'}
  vars: {greeting: hello}
  files: [{from: Caddyfile, template: true}]
  stopTimeout: 3s
build: {goreleaser: none, ldflags: "-s -w"}
traffic: {listen: "0.0.0.0:%[1]d", drainTimeout: 5s}
checks: [{http: /healthz, interval: 200ms, successes: 3}]
rollout: {steps: [{setWeight: 50}, {analysis: {}}], bake: 0s}
analysis:
  minRequests: 50
  signals: [{errors: {max: 0.01}, interval: 1s}]
environments:
  lab:
    hosts: [{name: %[2]s, address: %[3]s}]
    transport: {type: winrm, auth: ntlm, user: %[4]s, password: "${env:%[5]s}"}
`

// A program of somebody else, 59 MB, that knows nothing of shipper, is built
// by shipper from its modules and released as it is. Caddy takes minutes to
// build at first.
func TestThirdPartyProgram(t *testing.T) {
	if os.Getenv("SHIPPER_INTEGRATION") == "" {
		t.Skip("builds Caddy, for minutes at first: `make test-integration`")
	}
	b := theBench(t)
	dir, host, port := t.TempDir(), b.lab.Hosts()[0], int(b.ports.Add(10))
	p, err := project.New(t.Context(), project.Options{Dir: dir, Shipper: b.shipper, Hosts: b.lab.Hosts()[:1], Service: "caddy", Port: port})
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*.go", "go.*", ".gitignore"} {
		old, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	copyDir(t, "testdata/caddy", dir)
	if err := os.Rename(filepath.Join(dir, "main.go.txt"), filepath.Join(dir, "main.go")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".gitignore"), "/dist/\n")
	write(t, filepath.Join(dir, "shipper.yaml"), fmt.Sprintf(caddyYAML, port, host.Name, host.Address, host.User, project.PasswordVar))
	tag(t, dir, "1.0.0")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	if built, err := p.Run(ctx, nil, "build"); err != nil || built.Exit() != 0 {
		t.Fatalf("build Caddy: %v\n%s", err, built.Stderr())
	}
	shipper(t, p, 0, "deploy")
	g, stop := traffic(t, p)
	answered(t, g, 500)
	tag(t, dir, "1.1.0")
	shipper(t, p, 0, "deploy")
	more(t, g, "1.1.0", 200)
	r := stop()
	wantNoneLost(t, r)
	if r.Of("1.0.0").OK == 0 {
		t.Errorf("both versions should have answered\n%s", r)
	}
	runs(t, p, "1.1.0")
	shipper(t, p, 0, "rollback")
	runs(t, p, "1.0.0")
}

// tag commits all there is, and tags it as a version.
func tag(t *testing.T, dir, version string) {
	t.Helper()
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "--allow-empty", "-m", version}, {"tag", "v" + version}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v: %s", args[0], err, out)
		}
	}
}
