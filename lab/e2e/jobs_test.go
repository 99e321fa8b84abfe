//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/project"
)

// runner is GitHub's side of a release job: act runs the workflows of
// examples/workflows in the project's repository, as they are.
type runner struct {
	p    *project.Project
	act  string
	home string
	env  []string
}

// twoStages is what the environments of the workflows share, and what the
// second one demands.
const twoStages = `environments:
  staging:
    hosts: [{name: %[1]s, address: %[2]s}]
    transport: {type: winrm, auth: ntlm, user: %[5]s, password: "${env:STAGING_PASSWORD}"}
  production:
    hosts: [{name: %[3]s, address: %[4]s}]
    requires: {environment: staging}
    transport: {type: winrm, auth: ntlm, user: %[5]s, password: "${env:PRODUCTION_PASSWORD}"}
`

// newRunner makes a repository with the workflows; its first host is staging,
// the second production.
func newRunner(t *testing.T, b *bench) *runner {
	t.Helper()
	hosts := b.lab.Hosts()
	p := b.project(t, project.Config{Steps: "[{setWeight: 50}]", Bake: "0s", Deadline: "15s"})
	r := &runner{p: p, act: tool(t, "act"), home: t.TempDir()}
	file := filepath.Join(p.Dir(), "shipper.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "environments:")
	head += fmt.Sprintf("bundles: {folder: %s}\n", filepath.Join(r.home, "bundles"))
	write(t, file, head+fmt.Sprintf(twoStages, hosts[0].Name, hosts[0].Address, hosts[1].Name, hosts[1].Address, hosts[0].User))
	write(t, filepath.Join(p.Dir(), ".gitignore"), "/dist/\n")
	copyDir(t, "../../examples/workflows", filepath.Join(p.Dir(), ".github", "workflows"))
	r.prepare(t, b.shipper, hosts)
	return r
}

// prepare puts what the workflows fetch where act finds it: the action, its
// release of shipper with checksums, and a stand-in for setup-go.
func (r *runner) prepare(t *testing.T, shipper string, hosts []lab.Host) {
	t.Helper()
	copyDir(t, "../../.github/actions/shipper", filepath.Join(r.home, "action", ".github", "actions", "shipper"))
	write(t, filepath.Join(r.home, "setup-go", "action.yml"), "name: setup-go\ndescription: it is there\ninputs: {go-version-file: {description: x}}\n"+
		"runs: {using: composite, steps: [{run: go version, shell: bash}]}\n")
	write(t, filepath.Join(r.home, "act", "actrc"), "")
	releases := filepath.Join(r.home, "releases", "latest", "download")
	if err := os.MkdirAll(releases, 0o755); err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(releases, "shipper_linux_amd64.tar.gz")
	if out, err := exec.Command("tar", "-czf", archive, "-C", filepath.Dir(shipper), filepath.Base(shipper)).CombinedOutput(); err != nil {
		t.Fatalf("pack shipper: %v: %s", err, out)
	}
	raw, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(releases, "checksums.txt"), fmt.Sprintf("%x  shipper_linux_amd64.tar.gz\n", sha256.Sum256(raw)))
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	r.env = append(os.Environ(), "GOCACHE="+strings.TrimSpace(string(cache)), "XDG_CONFIG_HOME="+r.home, "XDG_CACHE_HOME="+filepath.Join(r.home, "cache"), "GITHUB_TOKEN=",
		"STAGING_PASSWORD="+hosts[0].Password, "PRODUCTION_PASSWORD="+hosts[1].Password)
}

// tool is a pinned program of build/NAME.mod, from the build cache.
func tool(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.Command("go", "tool", "-n", "-modfile=../../build/"+name+".mod", name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %s from build/%s.mod: %v", name, name, err)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err = errors.Join(err, os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// command runs a workflow by act, without Docker and without a network.
func (r *runner) command(ctx context.Context, event, workflow string, args ...string) *exec.Cmd {
	args = append([]string{
		event, "-W", ".github/workflows/" + workflow, "-P", "ubuntu-latest=-self-hosted",
		"--action-offline-mode", "--pull=false", "--no-cache-server", "--container-daemon-socket", "-",
		"--local-repository", "go-shipper/shipper@v1=" + filepath.Join(r.home, "action"),
		"--local-repository", "actions/setup-go@v6=" + filepath.Join(r.home, "setup-go"),
		"--env", "SHIPPER_RELEASES=file://" + filepath.Join(r.home, "releases"), "--env", "NO_COLOR=1",
		"-s", "STAGING_PASSWORD", "-s", "PRODUCTION_PASSWORD", "--var", "STAGING_URL=" + r.p.URLs()[0],
	}, args...)
	cmd := exec.CommandContext(ctx, r.act, args...)
	cmd.Dir, cmd.Env = r.p.Dir(), r.env
	return cmd
}

// run runs a workflow and wants its jobs to end as they should, in order.
func (r *runner) run(t *testing.T, want string, event, workflow string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), verbTimeout)
	defer cancel()
	out, err := r.command(ctx, event, workflow, args...).CombinedOutput()
	var got []string
	for _, m := range jobEnd.FindAllStringSubmatch(string(out), -1) {
		got = append(got, strings.TrimSpace(m[1])+" "+m[2])
	}
	if strings.Join(got, ", ") != want || (err == nil) != !strings.Contains(want, "failed") {
		t.Fatalf("%s: jobs %q, %v; want %q\n%s", workflow, got, err, want, out)
	}
	return string(out)
}

var jobEnd = regexp.MustCompile(`(?m)^\[[a-z]+/([a-z]+) *\].*Job (succeeded|failed)`)

// tag commits a version, and gives the event of its push.
func (r *runner) tag(t *testing.T, version, faults string) []string {
	t.Helper()
	if err := r.p.Version(t.Context(), version, faults); err != nil {
		t.Fatal(err)
	}
	event := filepath.Join(r.home, version+".json")
	write(t, event, fmt.Sprintf(`{"ref": "refs/tags/v%s"}`, version))
	return []string{"-e", event}
}

// stable wants a version in an environment.
func (r *runner) stable(t *testing.T, environment, version string) {
	t.Helper()
	out, err := r.shipper(t, "status", "--json", "--env", environment)
	if err != nil || !bytes.Contains(out, []byte(`"release":{"version":"`+version+`"`)) {
		t.Fatalf("%s: %v, want %s\n%s", environment, err, version, out)
	}
}

// shipper runs a verb beside the jobs.
func (r *runner) shipper(t *testing.T, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), verbTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, theBench(t).shipper, args...)
	cmd.Dir, cmd.Env = r.p.Dir(), r.env
	return cmd.Output()
}

func says(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("nobody says %q in\n%s", text, out)
		}
	}
}

// The three workflows that users copy: released, rolled back, refused.
func TestReleaseJobs(t *testing.T) {
	b := theBench(t)
	r := newRunner(t, b)
	const released = "build succeeded, staging succeeded, production succeeded"
	out := r.run(t, released, "push", "release.yml", r.tag(t, "1.0.0", "")...)
	r.stable(t, "production", "1.0.0")
	_, stop := traffic(t, r.p)
	out += r.run(t, released, "push", "release.yml", r.tag(t, "1.1.0", "")...)
	r.stable(t, "production", "1.1.0")
	says(t, out, "::set-output:: state=Promoted", "1.1.0 in staging: promoted", "1.1.0 in production: promoted", "was stable in staging for")
	for _, h := range b.lab.Hosts() {
		if strings.Contains(out, h.Password) {
			t.Error("a password is in the log of the job")
		}
	}

	out = r.run(t, "build succeeded, staging failed", "push", "release.yml", r.tag(t, "1.2.0", badAtOnce)...)
	says(t, out, "::set-output:: state=RolledBack", "::set-output:: exit=3", "::error title=shipper deploy::rolled back", "1.2.0 in staging: rolled back")
	r.stable(t, "staging", "1.1.0")
	r.stable(t, "production", "1.1.0")

	by := func(inputs ...string) (args []string) {
		for _, in := range inputs {
			args = append(args, "--input", in)
		}
		return args
	}
	out = r.run(t, "deploy failed", "workflow_dispatch", "deploy.yml", by("version=1.2.0", "environment=production")...)
	says(t, out, "::set-output:: exit=8", "takes only what has been through staging")
	r.stable(t, "production", "1.1.0")

	out = r.run(t, "rollback succeeded", "workflow_dispatch", "rollback.yml", by("environment=production")...)
	says(t, out, "::set-output:: state=RolledBack", "::set-output:: exit=0")
	r.stable(t, "production", "1.0.0")
	r.run(t, "deploy succeeded", "workflow_dispatch", "deploy.yml", by("version=1.1.x", "environment=production")...)
	r.stable(t, "production", "1.1.0")
	wantNoneLost(t, stop())
}

// A job that is cancelled leaves the hosts on stable.
func TestCancelledJobLeavesStable(t *testing.T) {
	r := newRunner(t, theBench(t))
	r.tag(t, "1.0.0", "")
	if out, err := r.shipper(t, "deploy", "--json", "--env", "staging"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(r.p.Dir(), "shipper.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, strings.Replace(string(text), "[{setWeight: 50}]", "[{setWeight: 50}, {pause: 10m}]", 1))
	args := r.tag(t, "1.1.0", "")
	cmd := r.command(context.WithoutCancel(t.Context()), "push", "release.yml", args...)
	half := &waiter{text: "50% of the traffic", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = half, half
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-half.seen:
	case err := <-ended:
		t.Fatalf("act ended early: %v\n%s", err, half.all.String())
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a cancelled job succeeded")
	}
	if out, err := r.shipper(t, "status", "--watch", "--timeout", "1m", "--env", "staging"); err == nil {
		t.Errorf("the run was promoted\n%s", out)
	}
	r.stable(t, "staging", "1.0.0")
}

// waiter tells when a text was written.
type waiter struct {
	text string
	all  bytes.Buffer
	seen chan struct{}
	done bool
}

func (w *waiter) Write(p []byte) (int, error) {
	w.all.Write(p)
	if !w.done && bytes.Contains(w.all.Bytes(), []byte(w.text)) {
		w.done = true
		close(w.seen)
	}
	return len(p), nil
}
