package pipeline

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// signed is the bundle of a version, signed by the key in the folder.
func (b *bed) signed(version, key string) string {
	b.t.Helper()
	plain, err := packaging.Open(b.bundle(version))
	if err != nil {
		b.t.Fatal(err)
	}
	defer plain.Close()
	var out bytes.Buffer
	_, err = packaging.WriteSigned(&out, plain.Manifest, func(_ packaging.TargetManifest, f release.File) (io.ReadCloser, error) {
		return plain.Content(f.SHA256)
	}, config.Attest{Key: key})
	path := filepath.Join(b.t.TempDir(), version+"-signed.zip")
	if err := errors.Join(err, os.WriteFile(path, out.Bytes(), 0o644)); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func newKey(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "release.key")
	if _, err := packaging.Keygen(path, packaging.Ed25519, ""); err != nil {
		t.Fatal(err)
	}
	return path
}

// An environment that names keys takes what they signed and nothing else, and
// so do its hosts, whatever a later configuration says.
func TestOnlySignedReleases(t *testing.T) {
	b := newBed(t)
	b.steps()
	ours, theirs := newKey(t), newKey(t)
	b.target.Trust = config.Trust{Keys: []string{ours + ".pub"}, Required: true}
	refused := func(bundle, says string) {
		t.Helper()
		b.forget()
		res, err := b.pipeline().Deploy(t.Context(), DeployRequest{Bundle: bundle})
		b.want(res, err, rollout.Failed, problem.Verification)
		if err == nil || !strings.Contains(err.Error(), says) || problem.HintOf(err) == "" {
			t.Errorf("%v, hint %q", err, problem.HintOf(err))
		}
	}
	refused(b.bundle("1.0.0"), "is not signed")
	refused(b.signed("1.0.0", theirs), "not trusted")
	if b.told("connect") {
		t.Error("hosts were asked before the bundle was refused")
	}
	res, err := b.pipeline().Deploy(t.Context(), DeployRequest{Bundle: b.signed("1.0.0", ours)})
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.0.0")

	b.target.Trust = config.Trust{} // somebody weakened the configuration
	refused(b.bundle("1.1.0"), "is not signed")
	refused(b.signed("1.1.0", theirs), "not trusted")
	b.target.Trust = config.Trust{Keys: []string{theirs + ".pub"}, Required: true}
	refused(b.signed("1.1.0", theirs), "not trusted")
	b.stable("1.0.0")

	b.target.Trust = config.Trust{}
	res, err = b.pipeline().Deploy(t.Context(), DeployRequest{Bundle: b.signed("1.1.0", ours)})
	b.want(res, err, rollout.Promoted, 0)
	b.stable("1.1.0")
	b.target.Trust = config.Trust{Keys: []string{theirs + ".none"}, Required: true}
	if res, err = b.pipeline().Rollback(t.Context(), RollbackRequest{}); err != nil { // it needs no key
		b.want(res, err, rollout.RolledBack, 0)
	}
	b.stable("1.0.0")
}

// told reports whether the story mentions a word.
func (b *bed) told(word string) bool { return strings.Contains(b.story(), word) }
