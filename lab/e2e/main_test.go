//go:build linux

// Package e2e ships a real service to Windows hosts under Wine, through the
// shipper program itself, while a load generator counts what users see.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/project"
)

// bench is what all tests share: the program, and a lab of two hosts.
type bench struct {
	shipper string
	lab     *lab.Lab
	ports   atomic.Int64
}

var shared struct {
	sync.Once
	*bench
	err error
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if shared.bench != nil {
		if err := shared.lab.Down(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "lab down:", err)
			code = 1
		}
		os.RemoveAll(filepath.Dir(shared.shipper))
	}
	os.Exit(code)
}

// theBench starts the lab with the first test that needs it.
func theBench(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("needs Wine; not with -short")
	}
	if _, err := exec.LookPath("wine"); err != nil {
		t.Skip("needs Wine: `make test` installs it")
	}
	shared.Do(func() { shared.bench, shared.err = newBench() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.bench
}

func newBench() (*bench, error) {
	dir, err := os.MkdirTemp("", "shipper-e2e-")
	if err != nil {
		return nil, err
	}
	if err := readSources("../.."); err != nil {
		return nil, err
	}
	b := &bench{shipper: filepath.Join(dir, "shipper")}
	if out, err := exec.Command("go", "build", "-o", b.shipper, "../../cmd/shipper").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build shipper: %w: %s", err, out)
	}
	b.lab, err = lab.Up(context.Background(), b.options(fmt.Sprintf("e2e-%d", os.Getpid()), 2))
	b.ports.Store(8100)
	return b, err
}

// readSources reads what the program is built from: go test remembers a result
// for as long as the files that the test has read are the same, and knows
// nothing of what the test builds.
func readSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		_, err = os.ReadFile(path)
		return err
	})
}

func (b *bench) options(name string, hosts int) lab.Options {
	return lab.Options{Name: name, Hosts: hosts, Daemon: []string{b.shipper}, Temporary: true}
}

// project makes a service of its own name and port on the shared hosts.
func (b *bench) project(t *testing.T, c project.Config) *project.Project {
	t.Helper()
	return b.projectOn(t, b.lab.Hosts(), c)
}

func (b *bench) projectOn(t *testing.T, hosts []lab.Host, c project.Config) *project.Project {
	t.Helper()
	port := int(b.ports.Add(10))
	p, err := project.New(t.Context(), project.Options{
		Dir: t.TempDir(), Shipper: b.shipper, Hosts: hosts, Port: port, Config: c,
		Service: fmt.Sprintf("%s-%d", strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), port),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// deploy commits a version, deploys it, and wants the exit code.
func deploy(t *testing.T, p *project.Project, version, faults string, exit int) *project.Process {
	t.Helper()
	if err := p.Version(t.Context(), version, faults); err != nil {
		t.Fatal(err)
	}
	return shipper(t, p, exit, "deploy")
}

// verbTimeout ends a verb that hangs, so that the test can tell its story.
const verbTimeout = 6 * time.Minute

// shipper runs a verb to its end and wants the exit code.
func shipper(t *testing.T, p *project.Project, exit int, args ...string) *project.Process {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), verbTimeout)
	defer cancel()
	run, err := p.Run(ctx, nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	if run.Exit() != exit {
		t.Fatalf("shipper %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), run.Exit(), exit, run.Stderr(), story(run))
	}
	return run
}

// start begins a verb and leaves it running.
func start(t *testing.T, p *project.Project, args ...string) *project.Process {
	t.Helper()
	run, err := p.Start(context.WithoutCancel(t.Context()), nil, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Kill() // over already in most tests
		_ = run.Done()
	})
	return run
}

// story is what a run told, for the messages of failed tests.
func story(run *project.Process) string {
	var b strings.Builder
	for _, r := range run.Records() {
		fmt.Fprintf(&b, "%s %s %s %s\n", r.Time.Format("15:04:05.000"), r.Type, r.Host, r.Data)
	}
	return b.String()
}

// runs asks the hosts which version is stable everywhere.
func runs(t *testing.T, p *project.Project, version string) *project.Process {
	t.Helper()
	st := shipper(t, p, 0, "status")
	if got := st.Result().Release.Version; got != version {
		t.Fatalf("status tells version %q, want %q\n%s", got, version, story(st))
	}
	return st
}
