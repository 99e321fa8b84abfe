// Package project plays the user of shipper: a Git repository with the
// example service, a shipper.yaml for the hosts of a lab, and the shipper
// program itself, run as people run it. The demo and the end-to-end tests
// rest on it.
package project

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-shipper/shipper/examples"
	"github.com/go-shipper/shipper/lab"
)

// Options of a project.
type Options struct {
	Dir     string     // an empty folder
	Shipper string     // the program
	Hosts   []lab.Host // in the order of their names
	Service string     // default orders
	Port    int        // public port, default 8080; slots take Port+10000 and Port+10001
	Config  Config
	Sources func(dir string) error // writes another module, of a program that takes what orders takes
}

// Config is what differs between the projects of tests; zero values take
// defaults that suit a lab.
type Config struct {
	Mode      string // native | console
	Strategy  string // default canary; the others have no steps
	Steps     string // YAML flow list
	Rollout   string // further lines of rollout, indented by two spaces
	Away      string // a host that cannot be reached for now
	Bake      string
	Deadline  string // of the smoke checks: how long one that fails takes
	Lease     string
	KeepWarm  string
	Batches   string // YAML flow list
	Env       map[string]string
	Transport string // YAML block, indented by six spaces; default NTLM over 5985
	Extra     string // further top-level YAML
	Rollback  string // further keys of rollback, each after a comma
	Service   string // further lines of service, indented by two spaces
	Listen    string // default 0.0.0.0:Port
	Drain     string // time to drain
	Traffic   string // further keys of traffic, a YAML flow map's, each after a comma
}

// Project is a checkout of a service that gets shipped.
type Project struct {
	o       Options
	goCache string // Go's own, beside which shipper gets one of this project's
}

// New writes the repository. Its first commit is made by Version.
func New(ctx context.Context, o Options) (*Project, error) {
	if o.Service == "" {
		o.Service = "orders"
	}
	if o.Port == 0 {
		o.Port = 8080
	}
	goCache, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("find Go's cache: %w", err)
	}
	p := &Project{o: o, goCache: strings.TrimSpace(string(goCache))}
	if o.Sources == nil {
		o.Sources = examples.Orders
	}
	if err := o.Sources(o.Dir); err != nil {
		return nil, err
	}
	if err := p.Configure(o.Config); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(o.Dir, ".gitignore"), []byte("/dist/\n/.cache/\n/shipper*.yaml\n"), 0o644); err != nil {
		return nil, fmt.Errorf("write repository: %w", err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"config", "user.name", "lab"}, {"config", "user.email", "lab@example.com"},
		{"config", "commit.gpgsign", "false"}, {"config", "tag.gpgsign", "false"},
	} {
		if err := p.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Version commits and tags a version. faults are built into it, as
// NAME=value pairs of the example's knobs; empty is a good version.
func (p *Project) Version(ctx context.Context, version, faults string) error {
	file := filepath.Join(p.o.Dir, "release.go")
	source := fmt.Sprintf("package main\n\n// What this version brings.\nfunc init() { version, faults = %q, %q }\n", version, faults)
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		return fmt.Errorf("write version %s: %w", version, err)
	}
	for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", "version " + version}, {"tag", "v" + version}} {
		if err := p.git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// URLs are the public addresses of the service.
func (p *Project) URLs() []string {
	var urls []string
	for _, h := range p.o.Hosts {
		urls = append(urls, fmt.Sprintf("http://%s:%d/orders", h.Address, p.o.Port))
	}
	return urls
}

// Use takes another shipper from now on.
func (p *Project) Use(shipper string) { p.o.Shipper = shipper }

// Forget drops what was built and pushed before, so that the next push has no
// version to tell the new one by.
func (p *Project) Forget() error {
	return errors.Join(os.RemoveAll(p.cache()), os.RemoveAll(filepath.Join(p.o.Dir, "dist")))
}

func (p *Project) cache() string { return filepath.Join(p.o.Dir, ".cache") }

// Port is the public one.
func (p *Project) Port() int { return p.o.Port }

// Dir is the folder of the checkout.
func (p *Project) Dir() string { return p.o.Dir }

// Service is the name of the service.
func (p *Project) Service() string { return p.o.Service }

func (p *Project) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = p.o.Dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
