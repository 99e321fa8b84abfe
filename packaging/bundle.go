package packaging

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

// Bundle is an opened bundle whose every byte was verified. Reading is safe
// for concurrent use.
type Bundle struct {
	Manifest    Manifest
	Attestation []byte // what vouches for it; empty if nobody signed it
	close       func() error
	contents    map[release.Digest]*zip.File
}

// Open opens the bundle at path and verifies it: its seal, the manifest, each
// file by size and SHA-256, the digest over all. What is no bundle is a
// problem of kind Usage, what is one but not intact of kind Verification.
func Open(path string) (*Bundle, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, unreadable(path, err)
	}
	b, err := Read(f, info.Size())
	if err != nil {
		f.Close()
		return nil, refused(path, err)
	}
	b.close = f.Close
	return b, nil
}

// OpenTemporary is Open for a file that goes away with its closing, or at
// once if it is no good bundle.
func OpenTemporary(path string) (*Bundle, error) {
	b, err := Open(path)
	if err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	closing := b.close
	b.close = func() error { return errors.Join(closing(), os.Remove(path)) }
	return b, nil
}

// errDamaged marks what was a bundle once.
var errDamaged = errors.New("bundle is damaged or was tampered with")

func unreadable(path string, err error) error {
	return problem.Wrap(problem.Usage, err, "open bundle "+path, "pass a file that `shipper build` wrote, unchanged")
}

func refused(path string, err error) error {
	if errors.Is(err, errDamaged) {
		return problem.Wrap(problem.Verification, err, "open bundle "+path, "copy or build it again; do not deploy this file")
	}
	return unreadable(path, err)
}

// Read opens the bundle of size bytes in r, as Open does; its errors are plain.
func Read(r io.ReaderAt, size int64) (*Bundle, error) {
	if err := checkSeal(r, size); err != nil {
		return nil, err
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	entries, err := index(z)
	if err != nil {
		return nil, err
	}
	head, m, err := readManifest(entries)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Manifest: m, contents: map[release.Digest]*zip.File{}, close: func() error { return nil }}
	if b.Attestation, err = readAttestation(entries); err == nil {
		err = b.verify(entries)
	}
	if err == nil {
		err = b.attested(head)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return b, nil
}

// checkSeal compares the archive with the digest in its comment, so that a
// flipped byte is found wherever it lies, in the archive's own structures too.
func checkSeal(r io.ReaderAt, size int64) error {
	body := size - int64(sealSize)
	if body > maxTotal+maxManifest {
		return fmt.Errorf("not a bundle: %d bytes", size)
	}
	if body <= 0 {
		return noSeal(r)
	}
	seal := make([]byte, sealSize)
	if _, err := r.ReadAt(seal, body); err != nil && err != io.EOF {
		return fmt.Errorf("read seal: %w", err)
	}
	want, ok := strings.CutPrefix(string(seal), sealPrefix)
	if !ok {
		return noSeal(r)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, body)); err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	if hex.EncodeToString(h.Sum(nil)) != want {
		return fmt.Errorf("%w: its bytes do not match its seal", errDamaged)
	}
	return nil
}

// noSeal tells what was cut from what never was a bundle.
func noSeal(r io.ReaderAt) error {
	magic := make([]byte, 4)
	if _, err := r.ReadAt(magic, 0); err == nil && string(magic) == "PK\x03\x04" {
		return fmt.Errorf("%w: its end, where the seal was, is missing", errDamaged)
	}
	return errors.New("not a bundle: it has no seal")
}

func index(z *zip.Reader) (map[string]*zip.File, error) {
	if len(z.File) > 2+maxTargets*(maxFiles+1) {
		return nil, fmt.Errorf("bundle has %d entries", len(z.File))
	}
	entries := make(map[string]*zip.File, len(z.File))
	for _, f := range z.File {
		if entries[f.Name] != nil {
			return nil, fmt.Errorf("%w: entry %.100q is there twice", errDamaged, f.Name)
		}
		entries[f.Name] = f
	}
	return entries, nil
}

func readManifest(entries map[string]*zip.File) ([]byte, Manifest, error) {
	entry := entries[manifestName]
	if entry == nil || entry.UncompressedSize64 > maxManifest {
		return nil, Manifest{}, errors.New("not a bundle: no manifest.json of a possible size")
	}
	var head bytes.Buffer
	if err := copyEntry(&head, entry); err != nil {
		return nil, Manifest{}, fmt.Errorf("%w: manifest: %w", errDamaged, err)
	}
	m, err := decodeManifest(head.Bytes())
	if err != nil {
		return nil, m, err
	}
	return head.Bytes(), m, m.check()
}

func readAttestation(entries map[string]*zip.File) ([]byte, error) {
	entry := entries[attestationName]
	if entry == nil {
		return nil, nil
	}
	if entry.UncompressedSize64 == 0 || entry.UncompressedSize64 > attest.MaxSize {
		return nil, fmt.Errorf("attestation of %d bytes", entry.UncompressedSize64)
	}
	var b bytes.Buffer
	err := copyEntry(&b, entry)
	return b.Bytes(), err
}

// verify demands that the archive holds the files of the manifest and nothing
// else, and reads each of them once.
func (b *Bundle) verify(entries map[string]*zip.File) error {
	left := len(entries) - 1
	if len(b.Attestation) > 0 {
		left--
	}
	for _, t := range b.Manifest.Targets {
		named := map[string]release.File{}
		for _, f := range t.Files {
			named[entryName(t, f)] = f
		}
		if t.SBOM != nil {
			named[t.SBOM.Path] = *t.SBOM
		}
		for name, f := range named {
			if err := b.take(entries[name], f); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			left--
		}
	}
	if left != 0 {
		return fmt.Errorf("%d entries are not in its manifest", left)
	}
	if got := release.TargetsDigest(b.Manifest.TargetDigests()); got != b.Manifest.Digest {
		return fmt.Errorf("contents have digest %s, the manifest says %.64s", got, b.Manifest.Digest)
	}
	return nil
}

func (b *Bundle) take(entry *zip.File, f release.File) error {
	if entry == nil {
		return errors.New("it is missing")
	}
	b.contents[f.SHA256] = entry
	return verifyEntry(entry, f)
}

func verifyEntry(entry *zip.File, f release.File) error {
	if entry.UncompressedSize64 != uint64(f.Size) {
		return fmt.Errorf("size is %d, the manifest says %d", entry.UncompressedSize64, f.Size)
	}
	h := sha256.New()
	if err := copyEntry(h, entry); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != string(f.SHA256) {
		return fmt.Errorf("sha256 is %s, the manifest says %s", got, f.SHA256)
	}
	return nil
}

// copyEntry reads exactly the bytes that the entry announces: a stream that
// goes on is a decompression bomb.
func copyEntry(w io.Writer, entry *zip.File) error {
	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	want := int64(entry.UncompressedSize64)
	n, err := io.Copy(w, io.LimitReader(r, want+1))
	if err == nil && n != want {
		err = fmt.Errorf("%d bytes or more, %d announced", n, want)
	}
	return err
}

// Release is the identity of what the bundle holds.
func (b *Bundle) Release() release.Release { return Release(b.Manifest) }

// Target returns the part for one architecture, or a problem of kind Usage
// that names the targets there are.
func (b *Bundle) Target(goos, goarch string) (TargetManifest, error) {
	var have []string
	for _, t := range b.Manifest.Targets {
		if t.GOOS == goos && t.GOARCH == goarch {
			return t, nil
		}
		have = append(have, t.Name())
	}
	return TargetManifest{}, problem.New(problem.Usage,
		"add "+goos+"/"+goarch+" to build.targets and build again, or correct the host's arch",
		"bundle %s has nothing for %s/%s, only %s", b.Release(), goos, goarch, strings.Join(have, ", "))
}

// Content opens a content by its digest.
func (b *Bundle) Content(d release.Digest) (io.ReadCloser, error) {
	entry := b.contents[d]
	if entry == nil {
		return nil, fmt.Errorf("bundle has no content %s", d.Short())
	}
	return entry.Open()
}

// Close frees the file; contents cannot be read afterwards.
func (b *Bundle) Close() error { return b.close() }
