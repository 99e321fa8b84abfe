package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

// attestationName lies beside the files of an installed release that came
// with a signature.
const attestationName = ".shipper-attestation.json"

// KeepAttestation puts what vouches for an installed release beside it.
func (s *Store) KeepAttestation(service string, r release.Release, attestation []byte) error {
	dir := s.Path(service, r)
	tmp := filepath.Join(dir, attestationName+".tmp")
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return problem(err, "keep the attestation")
	}
	_, err = s.write(f, attestation)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = acl.Replace(tmp, filepath.Join(dir, attestationName))
	}
	if err != nil {
		os.Remove(tmp)
		return problem(err, "keep the attestation")
	}
	return syncDir(dir)
}

// Attestation is what vouches for an installed release; empty if nothing does.
func (s *Store) Attestation(service string, r release.Release) ([]byte, error) {
	path := filepath.Join(s.Path(service, r), attestationName)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > attest.MaxSize {
		err = rpc.Errorf(rpc.CodeVerification, "push it again", "the attestation has %d bytes", info.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("read attestation of %s: %w", r, err)
	}
	return os.ReadFile(path)
}
