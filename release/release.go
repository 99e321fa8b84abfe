// Package release holds the words every other package shares: which bytes
// (Digest, Release), what a slot runs (Revision), where it runs (Slot), in
// which role, and with how much traffic (Weight). It is a leaf: it imports
// nothing of this module.
package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// Digest is a SHA-256 in lower-case hex: 64 characters.
type Digest string

// Of returns the digest of b.
func Of(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(hex.EncodeToString(sum[:]))
}

// ParseDigest checks that s is 64 lower-case hex characters.
func ParseDigest(s string) (Digest, error) {
	if len(s) != 2*sha256.Size || strings.ToLower(s) != s {
		return "", fmt.Errorf("digest %q: want %d lower-case hex characters", s, 2*sha256.Size)
	}
	if _, err := hex.DecodeString(s); err != nil {
		return "", fmt.Errorf("digest %q: %w", s, err)
	}
	return Digest(s), nil
}

// Short returns the first 12 characters, enough for people and folder names.
func (d Digest) Short() string {
	if len(d) < 12 {
		return string(d)
	}
	return string(d[:12])
}

// Release is a bundle's version and the digest over its contents: the same
// in every environment.
type Release struct {
	Version string `json:"version"`
	Digest  Digest `json:"digest"`
}

// Dir is the release's folder name on a host: `1.4.2-0123456789ab`. Build
// metadata is joined by an underscore, because `+` is awkward in paths.
func (r Release) Dir() string {
	return strings.ReplaceAll(r.Version, "+", "_") + "-" + r.Digest.Short()
}

func (r Release) String() string { return r.Version + " (" + r.Digest.Short() + ")" }

// IsZero reports whether r names no release.
func (r Release) IsZero() bool { return r == Release{} }

// File is one file of a release, by its path inside the release folder
// (slashes, relative) and its content.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 Digest `json:"sha256"`
}

// Revision is what a slot runs and what a rollback restores: a release with
// its rendered arguments, environment, account and files. Templates that
// depend on the slot ({{.Listen}}, {{.Slot}} …) are still unrendered, so that
// one revision fits both slots; the host renders them.
type Revision struct {
	Service     string            `json:"service"`
	Release     Release           `json:"release"`
	Mode        string            `json:"mode"`       // native | console
	Executable  string            `json:"executable"` // path inside the release folder, slashes
	Args        []string          `json:"args,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
	Files       []RenderedFile    `json:"files,omitempty"`
	DisplayName string            `json:"displayName,omitempty"`
	Description string            `json:"description,omitempty"`
	Account     string            `json:"account,omitempty"` // empty: the slot's virtual account
	DependsOn   []string          `json:"dependsOn,omitempty"`
	StopSignal  string            `json:"stopSignal,omitempty"`  // ctrl-break | ctrl-c | stdin-close | http | kill
	StopURL     string            `json:"stopURL,omitempty"`     // for stopSignal http: path on the slot's own port
	StopTimeout int64             `json:"stopTimeout,omitempty"` // milliseconds
	Recovery    []int64           `json:"recovery,omitempty"`    // milliseconds before each restart, after the commit
	DataPerSlot bool              `json:"dataPerSlot,omitempty"` // {{.DataDir}} is not the other slot's
	// Fingerprints names each secret with a keyed fingerprint of its value.
	Fingerprints map[string]string `json:"fingerprints,omitempty"`
}

// RenderedFile is a configuration file that belongs to the revision, not to
// the release; To is relative to the slot's configuration folder.
type RenderedFile struct {
	To   string `json:"to"`
	Data []byte `json:"data"`
}

// ID is the digest over the canonical JSON of the revision (map keys sorted).
func (r Revision) ID() Digest {
	b, err := json.Marshal(r)
	if err != nil { // only strings, numbers and byte slices in it
		panic(err)
	}
	return Of(b)
}
