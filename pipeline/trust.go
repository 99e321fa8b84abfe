package pipeline

import (
	"maps"
	"slices"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release/attest"
)

// trust is whose bundles the environment takes.
func (p *Pipeline) trust() (attest.Trust, error) {
	keys, err := packaging.PublicKeys(p.Target.Trust.Keys)
	return attest.TrustOf(keys, p.Target.Trust.Required), err
}

// trusted refuses a bundle before any host is asked. Each host looks again.
func (p *Pipeline) trusted(b *packaging.Bundle) error {
	trust, err := p.trust()
	if err == nil {
		_, err = b.Trusted(trust)
	}
	return err
}

// install is the call that lets a host assemble and verify a release.
func (h *host) install(run string, b *packaging.Bundle, t packaging.TargetManifest) (rpc.Install, error) {
	trust, err := h.p.trust()
	return rpc.Install{
		Fenced: h.fenced(run), Release: b.Release(), Files: t.Files, Targets: b.Manifest.TargetDigests(),
		Attestation: b.Attestation, Trust: trust,
	}, err
}

// verifies refuses hosts whose guard is too old to know of signatures: they
// took the release and looked at nothing.
func (p *Pipeline) verifies(now map[string]rpc.ServiceStatus) error {
	if len(p.Target.Trust.Keys) == 0 || !p.Target.Trust.Required {
		return nil
	}
	for _, host := range slices.Sorted(maps.Keys(now)) {
		if len(now[host].Trusted) == 0 {
			return problem.New(problem.Verification, "upgrade shipper on that host, or remove trust from the environment",
				"%s does not verify signatures: its shipper-host is too old", host)
		}
	}
	return nil
}
