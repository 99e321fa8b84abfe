package packaging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-shipper/shipper/packaging/authenticode"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

// Findings are what a bundle proves.
type Findings struct {
	Manifest Manifest
	Key      string            // ID of the key that signed it; empty if nobody did
	Trusted  bool              // it is one of those that were asked for
	Signers  map[string]string // by target: whose Authenticode signature the executable has
	Beside   []string          // files beside the bundle that were checked, too
}

// Inspect verifies a bundle with all that is in it and beside it: seal,
// manifest, files, SBOMs, attestation, Authenticode, checksums. Where keys
// are given one of them must have signed it. What does not hold is a problem
// of kind Verification.
func Inspect(ctx context.Context, path string, keys []attest.Key) (Findings, error) {
	b, err := Open(path)
	if err != nil {
		return Findings{}, err
	}
	defer b.Close()
	f := Findings{Manifest: b.Manifest, Trusted: len(keys) > 0, Signers: map[string]string{}}
	if _, err := b.Trusted(attest.TrustOf(keys, true)); err != nil {
		return f, err
	}
	if len(b.Attestation) > 0 {
		if _, f.Key, err = attest.Read(b.Attestation); err != nil {
			return f, tampered(path, err)
		}
	}
	for _, t := range b.Manifest.Targets {
		if t.GOOS != "windows" {
			continue
		}
		if f.Signers[t.Name()], err = b.authenticode(ctx, t); err != nil {
			return f, tampered(t.Name()+" "+t.Executable, err)
		}
	}
	f.Beside, err = b.beside(path, keys)
	return f, err
}

func tampered(what string, err error) error {
	return problem.Wrap(problem.Verification, err, "verify "+what, "fetch or build it again; do not deploy this one")
}

// authenticode names whoever signed the target's executable. The manifest
// says whether a signature must be there.
func (b *Bundle) authenticode(ctx context.Context, t TargetManifest) (string, error) {
	path, remove, err := b.extract(ctx, executableOf(t))
	if err != nil {
		return "", err
	}
	defer remove()
	s, err := signatureOf(path)
	switch {
	case err == nil:
		return s.Signer.Subject.CommonName, nil
	case t.Unsigned != "":
		return "", err
	case errors.Is(err, authenticode.ErrUnsigned):
		return "", nil
	}
	if _, broken := peDigest(path); broken != nil {
		return "", nil // no executable of Windows at all: nothing could be signed
	}
	return "", err
}

// extract puts a content into a file of its own.
func (b *Bundle) extract(ctx context.Context, f release.File) (path string, remove func(), err error) {
	r, err := b.Content(f.SHA256)
	if err != nil {
		return "", nil, err
	}
	defer r.Close()
	out, err := os.CreateTemp("", "shipper-verify-*")
	if err != nil {
		return "", nil, err
	}
	_, err = io.Copy(out, r)
	if err = errors.Join(err, out.Close(), ctx.Err()); err != nil {
		return "", nil, errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), func() { os.Remove(out.Name()) }, nil
}

// beside checks what `build` wrote next to the bundle, as far as it is there.
func (b *Bundle) beside(path string, keys []attest.Key) ([]string, error) {
	archive, err := describe(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	var seen []string
	if text, err := readSmall(path+sidecarSuffix, attest.MaxSize); err == nil {
		if err := b.sidecar(text, filepath.Base(path), archive.SHA256, keys); err != nil {
			return seen, tampered(path+sidecarSuffix, err)
		}
		seen = append(seen, filepath.Base(path)+sidecarSuffix)
	} else if !errors.Is(err, os.ErrNotExist) {
		return seen, tampered(path+sidecarSuffix, err)
	}
	sums, err := readSmall(filepath.Join(filepath.Dir(path), checksumsName), maxChecksums)
	if errors.Is(err, os.ErrNotExist) || err == nil && !strings.Contains(string(sums), "  "+filepath.Base(path)+"\n") {
		return seen, nil // none, or those of another build
	}
	if err == nil {
		err = checkSums(filepath.Dir(path), string(sums))
	}
	if err != nil {
		return seen, tampered(checksumsName, err)
	}
	return append(seen, checksumsName), nil
}

const maxChecksums = 1 << 20

func (b *Bundle) sidecar(text []byte, name string, archive release.Digest, keys []attest.Key) error {
	s, _, err := attest.Read(text)
	if err == nil && len(keys) > 0 {
		s, _, err = attest.Verify(text, keys)
	}
	if err != nil {
		return err
	}
	if err := s.Covers(b.Manifest.Name, b.Release()); err != nil {
		return err
	}
	if !s.Names(name, archive) {
		return errEvidence
	}
	return nil
}

// checkSums compares the files that lines of sha256sum name, in dir.
func checkSums(dir, text string) error {
	for line := range strings.Lines(text) {
		sum, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		want, err := release.ParseDigest(sum)
		if !ok || err != nil || release.CheckPath(name) != nil || strings.Contains(name, "/") {
			return fmt.Errorf("line %.100q is none of sha256sum", line)
		}
		f, err := describe(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if f.SHA256 != want {
			return fmt.Errorf("%s has sha256 %s, not %s", name, f.SHA256, want)
		}
	}
	return nil
}
