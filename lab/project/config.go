package project

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// PasswordVar is the environment variable that holds the hosts' password.
const PasswordVar = "SHIPPER_LAB_PASSWORD"

// Configure writes shipper.yaml anew.
func (p *Project) Configure(c Config) error {
	p.o.Config = c
	if err := os.WriteFile(filepath.Join(p.o.Dir, "shipper.yaml"), []byte(p.yaml(c)), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

func (p *Project) yaml(c Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "service:\n  name: %s\n  mode: %s\n  binary: orders\n  stopTimeout: 5s\n", p.o.Service, cmp.Or(c.Mode, "native"))
	fmt.Fprintf(&b, "  args: [-log, '{{.LogDir}}\\orders.log']\n")
	b.WriteString(c.Service)
	if len(c.Env) > 0 {
		b.WriteString("  env:\n")
		for _, k := range slices.Sorted(maps.Keys(c.Env)) {
			fmt.Fprintf(&b, "    %s: %q\n", k, c.Env[k])
		}
	}
	b.WriteString("build: {goreleaser: none}\n")
	fmt.Fprintf(&b, "traffic: {listen: %q, drainTimeout: %s%s}\n", cmp.Or(c.Listen, fmt.Sprintf("0.0.0.0:%d", p.o.Port)), cmp.Or(c.Drain, "30s"), c.Traffic)
	fmt.Fprintf(&b, "checks:\n  - {http: /healthz, interval: 100ms, timeout: 10s, successes: 3, deadline: %s}\n", cmp.Or(c.Deadline, "1m"))
	fmt.Fprintf(&b, "rollout:\n  bake: %s\n  keepWarm: %s\n%s", cmp.Or(c.Bake, "3s"), cmp.Or(c.KeepWarm, "10m"), c.Rollout)
	if c.Strategy != "" {
		fmt.Fprintf(&b, "  strategy: %s\n", c.Strategy)
	} else {
		fmt.Fprintf(&b, "  steps: %s\n", cmp.Or(c.Steps, "[{setWeight: 5}, {analysis: {}}, {setWeight: 50}, {analysis: {}}]"))
	}
	if c.Batches != "" {
		fmt.Fprintf(&b, "  batches: %s\n", c.Batches)
	}
	b.WriteString("analysis:\n  minRequests: 50\n  signals:\n")
	b.WriteString("    - {name: errors, errors: {max: 0.02, above: 0.01}, interval: 1s, failureLimit: 0}\n")
	b.WriteString("    - {name: latency, latency: {percentile: 0.99, max: 8s}, interval: 1s, failureLimit: 1}\n")
	fmt.Fprintf(&b, "rollback: {lease: %s%s}\n", cmp.Or(c.Lease, "30s"), c.Rollback)
	b.WriteString(c.Extra)
	b.WriteString("environments:\n  lab:\n    hosts:\n")
	for _, h := range p.o.Hosts {
		port := ""
		if h.Name == c.Away {
			port = ", port: 1"
		}
		fmt.Fprintf(&b, "      - {name: %s, address: %s%s}\n", h.Name, h.Address, port)
	}
	fmt.Fprintf(&b, "    transport:\n%s", cmp.Or(c.Transport, p.ntlm()))
	return b.String()
}

func (p *Project) ntlm() string {
	return fmt.Sprintf("      type: winrm\n      auth: ntlm\n      user: %s\n      password: ${env:%s}\n", p.o.Hosts[0].User, PasswordVar)
}
