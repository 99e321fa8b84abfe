// Package packaging turns a commit into a bundle: it builds the executables
// (GoReleaser or plain go build, same bits), writes the manifest and packs
// both reproducibly. A release's identity is the digest of its contents,
// never of the archive.
package packaging

import (
	"context"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/release"
)

// Protocol is the version of the manifest's shape that this package writes
// and the newest it reads.
const Protocol = 1

// Builder makes the executables of a service.
type Builder interface {
	// Name is how the journal and the manifest call the builder.
	Name() string
	// Build returns one artifact per target, or an error with a hint.
	Build(ctx context.Context, req BuildRequest) (*Build, error)
}

// BuildRequest says what to build.
type BuildRequest struct {
	Dir     string   // the user's module, or a folder of it
	Binary  string   // name of the executable, without .exe
	Package string   // main package for the native builder, relative to Dir, default "."
	Ldflags string   // native builder; templates {{.Version}}, {{.Commit}}; default defaultLdflags
	Targets []string // windows/amd64 …
	Dist    string   // folder for the native builder's results
	Source  Source   // what is built
	// Toolchain is the Go to build with (go1.26.1); empty: the one that is here.
	Toolchain string
	Log       func(line string)
}

// Build is what a builder made.
type Build struct {
	Builder   string
	Version   string // semantic, without v
	Commit    string
	Time      time.Time // of the commit
	Artifacts []Artifact
}

// The manifest's Builder: whether bits follow from the commit. Which of the
// builders made them does not matter, because all make the same.
const (
	FromSource   = "go"
	FromPrebuilt = "prebuilt"
)

// Artifact is one executable.
type Artifact struct {
	Path   string
	GOOS   string
	GOARCH string
	SHA256 release.Digest
	Size   int64
	// Unsigned is the digest before the Authenticode signature; empty where
	// none was made.
	Unsigned release.Digest
}

// Target is GOOS/GOARCH.
func (a Artifact) Target() string { return a.GOOS + "/" + a.GOARCH }

// Manifest says what a bundle holds. Target by target: a host gets the files
// of its own architecture.
type Manifest struct {
	Protocol  int              `json:"protocol"`
	Name      string           `json:"name"`
	Version   string           `json:"version"`
	Commit    string           `json:"commit,omitempty"`
	Time      time.Time        `json:"time"`    // of the commit
	Builder   string           `json:"builder"` // go | prebuilt
	Toolchain string           `json:"toolchain,omitempty"`
	Recipe    *Recipe          `json:"recipe,omitempty"` // how the commit becomes these bits
	Targets   []TargetManifest `json:"targets"`
	Digest    release.Digest   `json:"digest"` // release.TargetsDigest over the files of all targets
}

// TargetManifest is the part of a bundle for one architecture.
type TargetManifest struct {
	GOOS       string         `json:"goos"`
	GOARCH     string         `json:"goarch"`
	Executable string         `json:"executable"` // path of the main executable inside the release
	Files      []release.File `json:"files"`      // paths as they lie in the release folder
	// Unsigned is the executable's digest before its Authenticode signature.
	Unsigned release.Digest `json:"unsigned,omitempty"`
	SBOM     *release.File  `json:"sbom,omitempty"` // beside the release, in the archive only
}

// Recipe is what, beside the commit, the bits follow from.
type Recipe struct {
	Dir     string `json:"dir,omitempty"` // of shipper.yaml inside the repository
	Binary  string `json:"binary"`
	Package string `json:"package"`
	Ldflags string `json:"ldflags"` // a template
	// Goreleaser is the configuration, where it is not found by its name.
	Goreleaser string            `json:"goreleaser,omitempty"`
	Env        map[string]string `json:"env"`
	Resource   config.Resource   `json:"resource,omitzero"`
	Files      map[string]string `json:"files,omitempty"` // path in the release: path in Dir
}

// Name is GOOS/GOARCH.
func (t TargetManifest) Name() string { return t.GOOS + "/" + t.GOARCH }

// Release is the identity of what m holds.
func Release(m Manifest) release.Release {
	return release.Release{Version: m.Version, Digest: m.Digest}
}

// TargetDigests are the content digests of the targets, by GOOS/GOARCH: what
// a host needs beside its own files to check the release's digest.
func (m Manifest) TargetDigests() map[string]release.Digest {
	digests := make(map[string]release.Digest, len(m.Targets))
	for _, t := range m.Targets {
		digests[t.Name()] = release.ContentDigest(t.Files)
	}
	return digests
}
