package host

import (
	"context"
	"errors"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

const unsignedHint = "deploy a bundle that one of the trusted keys signed; `shipper verify` tells what a bundle has"

// vouch says why a release may not be installed, or nil. Keys that a
// configuration demands are remembered with the first release they signed:
// from then on the host itself asks for them, whatever a later controller
// wants.
func (s *service) vouch(p rpc.Install) error {
	next, err := settle(s.st.Trust, p.Trust, s.name, p.Release, p.Attestation)
	if err != nil {
		return rpc.Errorf(rpc.CodeVerification, hintFor(err), "release %s: %v", p.Release, err)
	}
	if next.Equal(s.st.Trust) {
		return nil
	}
	return s.change(func(st *state) { st.Trust = next })
}

// errKeys refuses a change of the keys that nobody trusted has signed.
var errKeys = errors.New("the configuration names a key that this host does not trust")

func hintFor(err error) string {
	if errors.Is(err, errKeys) {
		return "name the new key under attest.successors and sign a release with the old one; or, on the host, `shipper-host forget-keys`"
	}
	return unsignedHint
}

// settle returns whom the host trusts from now on. pinned is what it
// remembers, asked what the configuration says. A configuration may leave out
// keys, or all of them; it may add only those which the release's own
// statement, signed by a pinned key, calls its successors.
func settle(pinned, asked attest.Trust, service string, r release.Release, attestation []byte) (attest.Trust, error) {
	if _, err := asked.Accepts(service, r, attestation); err != nil {
		return pinned, err
	}
	if pinned.Empty() {
		if !asked.Required {
			return pinned, nil
		}
		return asked, nil
	}
	statement, err := pinned.Accepts(service, r, attestation)
	if err != nil || asked.Empty() || !asked.Required {
		return pinned, err
	}
	vouched := attest.Trust{Keys: statement.Claim().Successors}
	for _, key := range asked.Keys {
		if !pinned.Has(key) && !vouched.Has(key) {
			return pinned, errKeys
		}
	}
	return asked, nil
}

// vouched says why a revision may not be started, or nil: its release must be
// signed if the host asks for that. What was committed here before stays a
// way back.
func (s *service) vouched(ctx context.Context, rev release.Revision) error {
	var trust attest.Trust
	if err := s.do(ctx, func() error { trust = s.st.Trust; return nil }); err != nil || trust.Empty() {
		return err
	}
	attestation, err := s.g.store.Attestation(s.name, rev.Release)
	if err != nil {
		return err
	}
	if _, err := trust.Accepts(s.name, rev.Release, attestation); err != nil {
		return rpc.Errorf(rpc.CodeVerification, unsignedHint, "release %s: %v", rev.Release, err)
	}
	return nil
}

// forgetKeys is for the host's own console: the next release decides anew
// whom the host trusts.
func (g *Guard) forgetKeys(ctx context.Context, p rpc.ForgetKeys) error {
	return g.owned(ctx, p.Service, func(s *service) error {
		if s.broken != nil {
			return s.broken
		}
		return s.change(func(st *state) {
			st.Trust = attest.Trust{}
			st.note("the trusted keys were forgotten by " + p.By)
		})
	})
}
