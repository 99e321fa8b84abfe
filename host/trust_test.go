package host

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"testing"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

type signer struct {
	crypto.Signer
	key attest.Key
}

func newSigner(t *testing.T) signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := attest.KeyOf(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	return signer{private, key}
}

// vouches signs a release of the service, and names who may follow.
func (s signer) vouches(t *testing.T, r release.Release, next ...signer) []byte {
	t.Helper()
	claim := attest.Claim{Service: app, Version: r.Version, Release: r.Digest}
	for _, n := range next {
		claim.Successors = append(claim.Successors, n.key.DER)
	}
	b, err := attest.Sign(attest.NewStatement(claim, nil, nil), s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func trust(signers ...signer) attest.Trust {
	var keys []attest.Key
	for _, s := range signers {
		keys = append(keys, s.key)
	}
	return attest.TrustOf(keys, true)
}

// install brings a version with what vouches for it.
func (r *run) install(version string, t attest.Trust, attestation []byte) (release.Release, error) {
	r.t.Helper()
	rel, files, _ := bundle(version)
	r.put(version)
	return rel, r.c.Install(context.Background(), rpc.Install{Fenced: r.f, Release: rel, Files: files, Trust: t, Attestation: attestation})
}

func (r *run) demand(version string, t attest.Trust, attestation []byte, code string) {
	r.t.Helper()
	rel, err := r.install(version, t, attestation)
	if rpc.CodeOf(err) != code {
		r.t.Fatalf("install %s: %v, want code %q", version, err, code)
	}
	_, err = r.c.Start(context.Background(), r.startParams(rel))
	if code != "" && err == nil {
		r.t.Fatalf("%s was refused, and started all the same", version)
	}
	if code == "" && err != nil {
		r.t.Fatalf("start %s: %v", version, err)
	}
}

func (r *run) finish() {
	r.t.Helper()
	r.weight(release.Full)
	if err := r.c.Prepare(context.Background(), r.f); err != nil {
		r.t.Fatal(err)
	}
	r.commit(0)
	r.release(runPromoted)
}

func TestHostAsksForTheKeysItHasSeen(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ours, theirs := newSigner(t), newSigner(t)
	of := func(version string) release.Release { r, _, _ := bundle(version); return r }
	m.deploy("r0", "0.9.0") // before anybody thought of keys

	r := m.acquire("r1", "deploy")
	r.demand("1.0.0", trust(ours), nil, rpc.CodeVerification)
	r.demand("1.0.0", trust(ours), theirs.vouches(t, of("1.0.0")), rpc.CodeVerification)
	r.demand("1.0.0", trust(ours), ours.vouches(t, of("1.0.1")), rpc.CodeVerification)
	if ids := m.status().Trusted; len(ids) != 0 {
		t.Fatalf("a release that was refused left %v behind", ids)
	}
	r.demand("1.0.0", trust(ours), ours.vouches(t, of("1.0.0")), "")
	r.finish()
	m.restart()
	if ids := m.status().Trusted; len(ids) != 1 || ids[0] != ours.key.ID {
		t.Fatalf("trusted: %v", ids)
	}

	r = m.acquire("r2", "deploy")
	r.demand("1.1.0", attest.Trust{}, nil, rpc.CodeVerification) // a configuration without keys
	r.demand("1.1.0", trust(theirs), theirs.vouches(t, of("1.1.0")), rpc.CodeVerification)
	r.demand("1.1.0", trust(ours, theirs), ours.vouches(t, of("1.1.0")), rpc.CodeVerification) // adds a key
	r.demand("1.1.0", attest.TrustOf([]attest.Key{ours.key}, false), nil, rpc.CodeVerification)
	r.demand("0.9.0", attest.Trust{}, nil, rpc.CodeVerification) // it lies there, unsigned, from before
	r.demand("1.1.0", attest.Trust{}, ours.vouches(t, of("1.1.0")), "")
	r.finish()

	undone, err := m.c.Rollback(context.Background(), rpc.Rollback{Service: app, By: "me"})
	if err != nil || undone.Release.Version != "1.0.0" {
		t.Errorf("rollback: %+v, %v", undone, err)
	}
}

// A release that was committed before the keys came stays a way back.
func TestRollbackAsksForNoKey(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ours := newSigner(t)
	m.deploy("r0", "0.9.0")
	r := m.acquire("r1", "deploy")
	rel, _, _ := bundle("1.0.0")
	r.demand("1.0.0", trust(ours), ours.vouches(t, rel), "")
	r.finish()
	undone, err := m.c.Rollback(context.Background(), rpc.Rollback{Service: app, By: "me"})
	if err != nil || undone.Release.Version != "0.9.0" {
		t.Errorf("rollback: %+v, %v", undone, err)
	}
}

// Keys change by the word of a trusted key, or on the host's own console.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	old, next, evil := newSigner(t), newSigner(t), newSigner(t)
	of := func(version string) release.Release { r, _, _ := bundle(version); return r }
	step := func(version string, asked attest.Trust, attestation []byte, code string) {
		t.Helper()
		r := m.acquire("run-"+version, "deploy")
		r.demand(version, asked, attestation, code)
		if code == "" {
			r.finish()
		} else {
			r.release(runFailed)
		}
	}
	step("1.0.0", trust(old), old.vouches(t, of("1.0.0")), "")
	step("1.1.0", trust(old, next), old.vouches(t, of("1.1.0"), next), "")
	step("1.2.0", trust(old, next, evil), old.vouches(t, of("1.2.0"), next), rpc.CodeVerification)
	step("1.3.0", trust(next), old.vouches(t, of("1.3.0")), rpc.CodeVerification) // of a key that is being left
	step("1.4.0", trust(next), next.vouches(t, of("1.4.0")), "")
	step("1.5.0", trust(old, next), old.vouches(t, of("1.5.0"), old), rpc.CodeVerification)
	if ids := m.status().Trusted; len(ids) != 1 || ids[0] != next.key.ID {
		t.Errorf("trusted: %v", ids)
	}
	if err := m.c.ForgetKeys(context.Background(), rpc.ForgetKeys{Service: app, By: "me"}); err != nil {
		t.Fatal(err)
	}
	step("1.6.0", trust(evil), evil.vouches(t, of("1.6.0")), "")
}

// What lies beside a release is no proof by itself.
func TestAttestationOnTheDiskIsVerifiedAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ours, theirs := newSigner(t), newSigner(t)
	r := m.acquire("r1", "deploy")
	rel, err := r.install("1.0.0", trust(ours), ours.vouches(t, func() release.Release { r, _, _ := bundle("1.0.0"); return r }()))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.guard.store.KeepAttestation(app, rel, theirs.vouches(t, rel)); err != nil {
		t.Fatal(err)
	}
	_, err = r.c.Start(context.Background(), r.startParams(rel))
	m.code(err, rpc.CodeVerification)
}
