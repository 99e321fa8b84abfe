package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// manifestName lies beside the files of an installed release and is written
// last: a folder without it is not a release.
const manifestName = ".shipper-manifest.json"

// maxManifest bounds what is read back, in bytes.
const maxManifest = 16 << 20

// Manifest says what an installed release holds on this host.
type Manifest struct {
	Protocol int             `json:"protocol"`
	Release  release.Release `json:"release"`
	Content  release.Digest  `json:"content"` // release.ContentDigest of Files
	Files    []release.File  `json:"files"`
}

// Install assembles a release from contents the host has. It is idempotent;
// an installed release that is damaged is assembled anew.
func (s *Store) Install(ctx context.Context, service string, r release.Release, files []release.File) error {
	if err := checkInstall(r, files); err != nil {
		return err
	}
	free, err := s.hold(ctx, r.Digest)
	if err != nil {
		return err
	}
	defer free()
	m := Manifest{Protocol: rpc.Protocol, Release: r, Content: release.ContentDigest(files), Files: files}
	have, err := s.manifest(service, r)
	if err == nil && s.Verify(ctx, service, r) == nil {
		if have.Content != m.Content {
			return rpc.Errorf(rpc.CodeConflict, "", "release %s is installed with other files", r)
		}
		s.unstage(files)
		return nil
	}
	if err := s.assemble(ctx, service, m); err != nil {
		return problem(err, "install release "+r.String())
	}
	s.remember(service, m)
	s.unstage(files)
	return nil
}

func checkInstall(r release.Release, files []release.File) error {
	if _, err := release.ParseDigest(string(r.Digest)); err != nil {
		return rpc.Errorf(rpc.CodeFailed, "", "release: %v", err)
	}
	if err := release.CheckPath(r.Dir()); err != nil || strings.Contains(r.Dir(), "/") {
		return rpc.Errorf(rpc.CodeFailed, "", "release version %q cannot be a folder's name", r.Version)
	}
	if len(files) == 0 {
		return rpc.Errorf(rpc.CodeFailed, "", "release %s has no files", r)
	}
	own := []release.File{{Path: manifestName}, {Path: attestationName}}
	if err := release.CheckPaths(append(own, files...)); err != nil {
		return rpc.Errorf(rpc.CodeFailed, "", "release %s: %v", r, err)
	}
	for _, f := range files {
		if _, err := release.ParseDigest(string(f.SHA256)); err != nil || f.Size < 0 {
			return rpc.Errorf(rpc.CodeFailed, "", "release %s: file %s has no digest or size", r, f.Path)
		}
	}
	return nil
}

func (s *Store) assemble(ctx context.Context, service string, m Manifest) error {
	dir := s.Path(service, m.Release)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), m.Release.Dir()+".tmp")
	if err != nil {
		return err
	}
	defer acl.RemoveAll(tmp)
	for _, f := range m.Files {
		if err := s.place(ctx, tmp, f); err != nil {
			return err
		}
	}
	if err := s.writeManifest(tmp, m); err != nil {
		return err
	}
	if err := syncTree(tmp); err != nil {
		return err
	}
	// A damaged release whose program runs cannot be moved on Windows.
	if err := acl.Replace(dir, tmp+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(s.refit(ctx, dir, tmp, m), syncDir(dir))
	}
	defer acl.RemoveAll(tmp + ".old")
	if err := acl.Replace(tmp, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// refit replaces the files that are not what they should be, and the manifest,
// one by one. It is verified again before anything starts from it.
func (s *Store) refit(ctx context.Context, dir, from string, m Manifest) error {
	var names []string
	for _, f := range m.Files {
		if verifyFile(ctx, dir, f) != nil {
			names = append(names, filepath.FromSlash(f.Path))
		}
	}
	for _, name := range append(names, manifestName) {
		err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
		if err == nil {
			err = acl.Replace(filepath.Join(from, name), filepath.Join(dir, name))
		}
		if err != nil {
			return fmt.Errorf("replace what is damaged in the release: %w", err)
		}
	}
	return nil
}

// place copies one content; the copy, not a link: a release's files have
// access rights and a fate of their own.
func (s *Store) place(ctx context.Context, dir string, f release.File) error {
	to := filepath.Join(dir, filepath.FromSlash(f.Path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	for {
		from := s.find(f.SHA256)
		if from == "" {
			return rpc.Errorf(rpc.CodeNotFound, "push it again", "content %s of %s is not on the host", f.SHA256.Short(), f.Path)
		}
		err := s.copyFile(ctx, from, to, f)
		if rpc.CodeOf(err) != rpc.CodeVerification {
			return err
		}
		if from == s.content(f.SHA256) {
			os.Remove(from)
			return err
		}
		s.distrust(f.SHA256, from)
	}
}

func (s *Store) copyFile(ctx context.Context, from, to string, f release.File) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return s.copyVerified(ctx, in, to, f)
}

func (s *Store) writeManifest(dir string, m Manifest) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, manifestName), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = s.write(f, b); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// unstage drops contents that lie in a release now.
func (s *Store) unstage(files []release.File) {
	for _, f := range files {
		os.Remove(s.content(f.SHA256))
		s.forgetParts(f.SHA256)
	}
}

func (s *Store) manifest(service string, r release.Release) (Manifest, error) {
	m, err := readManifest(s.Path(service, r))
	if err == nil && m.Release != r {
		err = fmt.Errorf("folder %s holds release %s", r.Dir(), m.Release)
	}
	return m, err
}

func readManifest(dir string) (Manifest, error) {
	var m Manifest
	f, err := os.Open(filepath.Join(dir, manifestName))
	if err != nil {
		return m, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	if err := release.CheckPaths(m.Files); err != nil {
		return m, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	return m, nil
}

// Verify reads every file of an installed release again. Errors:
// CodeNotFound if it is not installed, CodeVerification if it is damaged. What
// is damaged counts as missing from then on, so that it is pushed again.
func (s *Store) Verify(ctx context.Context, service string, r release.Release) error {
	m, err := s.manifest(service, r)
	if errors.Is(err, os.ErrNotExist) {
		return rpc.Errorf(rpc.CodeNotFound, "push it again", "release %s is not installed", r)
	}
	if err != nil {
		return rpc.Errorf(rpc.CodeVerification, "push it again", "release %s: %v", r, err)
	}
	if release.ContentDigest(m.Files) != m.Content {
		return rpc.Errorf(rpc.CodeVerification, "push it again", "release %s: its manifest was changed", r)
	}
	for _, f := range m.Files {
		if err := verifyFile(ctx, s.Path(service, r), f); err != nil {
			s.distrust(f.SHA256, filepath.Join(s.Path(service, r), filepath.FromSlash(f.Path)))
			return rpc.Errorf(rpc.CodeVerification, "push it again", "release %s: %v", r, err)
		}
	}
	return nil
}

func verifyFile(ctx context.Context, dir string, f release.File) error {
	n, sum, err := digest(ctx, filepath.Join(dir, filepath.FromSlash(f.Path)))
	if err != nil {
		return err
	}
	return compare(f, n, sum)
}

// FileDigest reads the file at path.
func FileDigest(path string) (release.Digest, error) {
	_, sum, err := digest(context.Background(), path)
	return release.Digest(hex.EncodeToString(sum)), err
}

func digest(ctx context.Context, path string) (int64, []byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, nil, err
	}
	defer in.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, reader{ctx, in})
	return n, sum.Sum(nil), err
}
