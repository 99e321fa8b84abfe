package packaging

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

// Names of the evidence in and beside a bundle.
const (
	attestationName = "attestation.sigstore.json"
	sbomSuffix      = ".cdx.json"
	checksumsName   = "checksums.txt"
	sidecarSuffix   = ".sigstore.json" // after the bundle's own name
)

// sbomName is where the SBOM of a target lies in the archive.
func sbomName(t TargetManifest) string { return "sbom/" + t.GOOS + "_" + t.GOARCH + sbomSuffix }

// voucher signs what is known of a bundle; nil where nobody does.
type voucher struct {
	key        crypto.Signer
	successors [][]byte
}

// manifest vouches for a bundle by its manifest, which names all the rest.
// Executables and SBOMs are subjects too, so that other tools can check each.
func (v *voucher) manifest(m Manifest, head []byte) ([]byte, error) {
	return v.sign(m, attest.Subject{Name: manifestName, Digest: attest.Digest{SHA256: release.Of(head)}})
}

func (v *voucher) sign(m Manifest, first attest.Subject) ([]byte, error) {
	subjects := []attest.Subject{first}
	for _, t := range m.Targets {
		exe := executableOf(t)
		subjects = append(subjects, attest.Subject{Name: entryName(t, exe), Digest: attest.Digest{SHA256: exe.SHA256}})
		if t.SBOM != nil {
			subjects = append(subjects, attest.Subject{Name: t.SBOM.Path, Digest: attest.Digest{SHA256: t.SBOM.SHA256}})
		}
	}
	claim := attest.Claim{
		Service: m.Name, Version: m.Version, Release: m.Digest, Commit: m.Commit, Builder: m.Builder, Successors: v.successors,
	}
	if m.Recipe != nil {
		claim.Package, claim.Ldflags = m.Recipe.Package, m.Recipe.Ldflags
	}
	var used []attest.Resource
	if m.Commit != "" {
		used = append(used, attest.Resource{Name: "source", Digest: attest.Digest{GitCommit: m.Commit}})
	}
	if m.Toolchain != "" {
		used = append(used, attest.Resource{Name: "toolchain", URI: "pkg:generic/go@" + strings.TrimPrefix(m.Toolchain, "go")})
	}
	return attest.Sign(attest.NewStatement(claim, subjects, used), v.key)
}

// newVoucher opens the key that the configuration names.
func newVoucher(a config.Attest) (*voucher, error) {
	key, err := Signer(a)
	if err != nil || key == nil {
		return nil, err
	}
	keys, err := PublicKeys(a.Successors)
	if err != nil {
		return nil, err
	}
	v := &voucher{key: key}
	for _, k := range keys {
		v.successors = append(v.successors, k.DER)
	}
	slices.SortFunc(v.successors, bytes.Compare)
	return v, nil
}

// sidecars writes beside a bundle what other tools read: the SBOMs, an
// attestation of the archive itself, and the digests of all.
func sidecars(bundle string, m Manifest, sources map[string]string, v *voucher) error {
	dir, name := filepath.Dir(bundle), filepath.Base(bundle)
	archive, err := describe(bundle)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, t := range m.Targets {
		if t.SBOM == nil {
			continue
		}
		text, err := readSmall(sources[t.SBOM.Path], maxSBOM)
		if err != nil {
			return err
		}
		files[strings.TrimSuffix(name, ".zip")+"."+filepath.Base(t.SBOM.Path)] = text
	}
	if v != nil {
		text, err := v.sign(m, attest.Subject{Name: name, Digest: attest.Digest{SHA256: archive.SHA256}})
		if err != nil {
			return err
		}
		files[name+sidecarSuffix] = text
	}
	lines := []string{checksum(name, archive.SHA256)}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o644); err != nil {
			return err
		}
		lines = append(lines, checksum(file, release.Of(text)))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[66:], b[66:]) })
	return os.WriteFile(filepath.Join(dir, checksumsName), []byte(strings.Join(lines, "")), 0o644)
}

// checksum is a line of sha256sum.
func checksum(name string, d release.Digest) string { return string(d) + "  " + name + "\n" }

// errEvidence marks a bundle whose attestation is not about it.
var errEvidence = errors.New("the attestation is not about this bundle")

// attested checks that an attestation, if there is one, speaks of this
// manifest; who signed it is the question of Trusted.
func (b *Bundle) attested(head []byte) error {
	if len(b.Attestation) == 0 {
		return nil
	}
	s, _, err := attest.Read(b.Attestation)
	if err != nil {
		return err
	}
	if err := s.Covers(b.Manifest.Name, b.Release()); err != nil {
		return fmt.Errorf("%w: %w", errEvidence, err)
	}
	if !s.Names(manifestName, release.Of(head)) {
		return errEvidence
	}
	return nil
}

// Trusted says why trust does not accept the bundle, as a problem of kind
// Verification, or nil. It also returns what the signed statement says; that
// is empty where nothing is asked.
func (b *Bundle) Trusted(trust attest.Trust) (attest.Statement, error) {
	s, err := trust.Accepts(b.Manifest.Name, b.Release(), b.Attestation)
	if err != nil {
		return s, problem.Wrap(problem.Verification, err, "verify bundle "+b.Release().String(),
			"build it where the key is (attest.key), or name the key that signed it under trust.keys; `shipper verify` tells what it has")
	}
	return s, nil
}
