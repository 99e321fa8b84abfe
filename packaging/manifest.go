package packaging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/Masterminds/semver/v3"

	"github.com/go-shipper/shipper/release"
)

// Bounds of a bundle. What is beyond them is refused before it is read.
const (
	maxManifest = 4 << 20 // bytes
	maxTargets  = 16
	maxFiles    = 4096    // per target
	maxFile     = 1 << 30 // bytes
	maxTotal    = 2 << 30 // bytes of all files together
	maxSBOM     = 16 << 20
)

var (
	nameShape  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,80}$`)
	tokenShape = regexp.MustCompile(`^[a-z0-9]{1,16}$`)
)

func encodeManifest(m Manifest) ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(b, '\n'), nil
}

// decodeManifest ignores keys it does not know: a newer shipper of the same
// protocol may have added some.
func decodeManifest(b []byte) (Manifest, error) {
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(b))
	if err := dec.Decode(&m); err != nil {
		return m, fmt.Errorf("decode manifest: %w", err)
	}
	if dec.More() {
		return m, fmt.Errorf("decode manifest: something follows it")
	}
	return m, nil
}

// check says why m cannot be the manifest of a bundle, or nil. It does not
// compare the digest.
func (m Manifest) check() error {
	switch {
	case m.Protocol != Protocol:
		return fmt.Errorf("manifest has protocol %d, this shipper reads %d", m.Protocol, Protocol)
	case !nameShape.MatchString(m.Name):
		return fmt.Errorf("manifest: name %.100q: want 1 to 80 of letters, digits, '.', '_', '-'", m.Name)
	case len(m.Targets) == 0 || len(m.Targets) > maxTargets:
		return fmt.Errorf("manifest: %d targets: want 1 to %d", len(m.Targets), maxTargets)
	}
	if err := checkVersion(m.Version); err != nil {
		return err
	}
	seen, total := map[string]bool{}, int64(0)
	for _, t := range m.Targets {
		if seen[t.Name()] {
			return fmt.Errorf("manifest: target %s is there twice", t.Name())
		}
		seen[t.Name()] = true
		n, err := t.check()
		if err != nil {
			return fmt.Errorf("manifest: %w", err)
		}
		total += n
	}
	if total > maxTotal {
		return fmt.Errorf("manifest: %d bytes in all: more than %d", total, int64(maxTotal))
	}
	return nil
}

// check returns the bytes of all files of the target.
func (t TargetManifest) check() (int64, error) {
	if !tokenShape.MatchString(t.GOOS) || !tokenShape.MatchString(t.GOARCH) {
		return 0, fmt.Errorf("target %.40q is no GOOS/GOARCH", t.Name())
	}
	if len(t.Files) > maxFiles {
		return 0, fmt.Errorf("target %s: %d files: more than %d", t.Name(), len(t.Files), maxFiles)
	}
	if err := release.CheckPaths(t.Files); err != nil {
		return 0, fmt.Errorf("target %s: %w", t.Name(), err)
	}
	total, found := int64(0), false
	for _, f := range t.Files {
		if f.Size < 0 || f.Size > maxFile {
			return 0, fmt.Errorf("target %s: file %s: size %d: want 0 to %d", t.Name(), f.Path, f.Size, int64(maxFile))
		}
		if _, err := release.ParseDigest(string(f.SHA256)); err != nil {
			return 0, fmt.Errorf("target %s: file %s: %w", t.Name(), f.Path, err)
		}
		total += f.Size
		found = found || f.Path == t.Executable
	}
	if s := t.SBOM; s != nil && (s.Path != sbomName(t) || s.Size < 0 || s.Size > maxSBOM) {
		return 0, fmt.Errorf("target %s: SBOM %.100q of %d bytes", t.Name(), s.Path, s.Size)
	}
	if !found {
		return 0, fmt.Errorf("target %s: executable %.100q is not among its files", t.Name(), t.Executable)
	}
	return total, nil
}

func checkVersion(v string) error {
	if len(v) > 64 {
		return fmt.Errorf("version %.64q… is longer than 64 characters", v)
	}
	if _, err := semver.StrictNewVersion(v); err != nil {
		return fmt.Errorf("version %q: %w", v, err)
	}
	return nil
}
