package packaging

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/release"
)

// entryTime is the time of every entry: archives know none before 1980.
var entryTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	manifestName = "manifest.json"
	sealPrefix   = "shipper bundle, sha256 of all before the seal: "
	sealSize     = len(sealPrefix) + 2*sha256.Size
)

// Contents opens a file of a target for reading while a bundle is written.
type Contents func(target TargetManifest, f release.File) (io.ReadCloser, error)

// WriteBundle writes m and the files it names as a zip: entries sorted, times
// and modes fixed, so that the same commit gives the same bytes. m.Digest is
// computed here. The comment at the end of the archive seals the rest, so
// that a damaged bundle is told from a good one before anything is read.
func WriteBundle(w io.Writer, m Manifest, contents Contents) (Manifest, error) {
	return writeBundle(w, m, contents, nil)
}

// WriteSigned is WriteBundle with an attestation by the key that a names.
func WriteSigned(w io.Writer, m Manifest, contents Contents, a config.Attest) (Manifest, error) {
	v, err := newVoucher(a)
	if err != nil {
		return m, err
	}
	return writeBundle(w, m, contents, v)
}

func writeBundle(w io.Writer, m Manifest, contents Contents, v *voucher) (Manifest, error) {
	m = canonical(m)
	m.Digest = release.TargetsDigest(m.TargetDigests())
	if err := m.check(); err != nil {
		return m, err
	}
	head, err := encodeManifest(m)
	if err != nil {
		return m, err
	}
	seal := &sealer{w: w, sum: sha256.New()}
	z := zip.NewWriter(seal)
	if err := z.SetComment(strings.Repeat(" ", sealSize)); err != nil {
		return m, err
	}
	if err := addEntry(z, manifestName, bytes.NewReader(head)); err != nil {
		return m, err
	}
	if v != nil {
		attestation, err := v.manifest(m, head)
		if err == nil {
			err = addEntry(z, attestationName, bytes.NewReader(attestation))
		}
		if err != nil {
			return m, err
		}
	}
	if err := addTargets(z, m, contents); err != nil {
		return m, err
	}
	if err := z.Close(); err != nil {
		return m, err
	}
	return m, seal.close()
}

func addTargets(z *zip.Writer, m Manifest, contents Contents) error {
	for _, t := range m.Targets {
		if t.SBOM != nil {
			if err := addFile(z, t, t.SBOM.Path, *t.SBOM, contents); err != nil {
				return fmt.Errorf("add %s: %w", t.SBOM.Path, err)
			}
		}
		for _, f := range t.Files {
			if err := addFile(z, t, entryName(t, f), f, contents); err != nil {
				return fmt.Errorf("add %s: %w", f.Path, err)
			}
		}
	}
	return nil
}

// sealer passes an archive on, all but its last sealSize bytes (the blanks of
// its comment), and puts the seal in their place.
type sealer struct {
	w    io.Writer
	sum  hash.Hash
	tail []byte
}

func (s *sealer) Write(p []byte) (int, error) {
	s.tail = append(s.tail, p...)
	ready := len(s.tail) - sealSize
	if ready <= 0 {
		return len(p), nil
	}
	s.sum.Write(s.tail[:ready])
	_, err := s.w.Write(s.tail[:ready])
	s.tail = append(s.tail[:0], s.tail[ready:]...)
	return len(p), err
}

func (s *sealer) close() error {
	_, err := io.WriteString(s.w, sealPrefix+hex.EncodeToString(s.sum.Sum(nil)))
	return err
}

func canonical(m Manifest) Manifest {
	m.Protocol = Protocol
	m.Time = m.Time.UTC().Truncate(time.Second)
	m.Targets = slices.Clone(m.Targets)
	slices.SortFunc(m.Targets, func(a, b TargetManifest) int { return strings.Compare(a.Name(), b.Name()) })
	for i := range m.Targets {
		m.Targets[i].Files = slices.Clone(m.Targets[i].Files)
		slices.SortFunc(m.Targets[i].Files, func(a, b release.File) int { return strings.Compare(a.Path, b.Path) })
	}
	return m
}

// entryName is where a file of a target lies in the archive.
func entryName(t TargetManifest, f release.File) string {
	return t.GOOS + "_" + t.GOARCH + "/" + f.Path
}

func addFile(z *zip.Writer, t TargetManifest, name string, f release.File, contents Contents) error {
	r, err := contents(t, f)
	if err != nil {
		return err
	}
	defer r.Close()
	h := sha256.New()
	body := &counting{r: io.TeeReader(io.LimitReader(r, f.Size+1), h)}
	if err := addEntry(z, name, body); err != nil {
		return err
	}
	if body.n != f.Size || hex.EncodeToString(h.Sum(nil)) != string(f.SHA256) {
		return fmt.Errorf("contents changed while the bundle was written")
	}
	return nil
}

func addEntry(z *zip.Writer, name string, r io.Reader) error {
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: entryTime}
	header.SetMode(0o644)
	w, err := z.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return err
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// writeFile writes a bundle as a whole or not at all: a temporary file in the
// same folder, flushed, then renamed to the name that its digest gives.
func writeFile(dir string, m Manifest, contents Contents, v *voucher) (string, Manifest, error) {
	tmp, err := os.CreateTemp(dir, ".bundle-*")
	if err != nil {
		return "", m, err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if m, err = writeBundle(tmp, m, contents, v); err != nil {
		return "", m, err
	}
	if err := tmp.Chmod(0o644); err != nil {
		return "", m, err
	}
	if err := tmp.Sync(); err != nil {
		return "", m, err
	}
	if err := tmp.Close(); err != nil {
		return "", m, err
	}
	path := filepath.Join(dir, FileName(m.Name, Release(m)))
	return path, m, os.Rename(tmp.Name(), path)
}
