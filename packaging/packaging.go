// Package packaging turns a commit into a bundle: it builds the executables
// (GoReleaser or plain go build, same bits), writes the manifest and packs
// both reproducibly. A release's identity is the digest of its contents,
// never of the archive.
package packaging

import (
	"context"
	"time"

	"github.com/go-shipper/shipper/release"
)

// Builder makes the executables of a service.
type Builder interface {
	// Name is how the journal and the manifest call the builder.
	Name() string
	// Build returns one artifact per target, or an error with a hint.
	Build(ctx context.Context, req BuildRequest) (*Build, error)
}

// BuildRequest says what to build.
type BuildRequest struct {
	Dir     string   // the user's module
	Binary  string   // name of the executable, without .exe
	Package string   // main package, relative to Dir
	Ldflags string   // native builder; templates {{.Version}}, {{.Commit}}
	Targets []string // windows/amd64 …
	Config  string   // of GoReleaser
	Tool    string   // goreleaser executable, empty: look it up
	Dist    string   // folder for the results
	Version string   // empty: from git
	Log     func(line string)
}

// Build is what a builder made.
type Build struct {
	Version   string // semantic, without v
	Commit    string
	Time      time.Time // of the commit
	Artifacts []Artifact
}

// Artifact is one executable.
type Artifact struct {
	Path   string
	GOOS   string
	GOARCH string
	SHA256 release.Digest
	Size   int64
}

// Manifest says what a bundle holds. Target by target: a host gets the files
// of its own architecture.
type Manifest struct {
	Protocol  int              `json:"protocol"`
	Name      string           `json:"name"`
	Version   string           `json:"version"`
	Commit    string           `json:"commit,omitempty"`
	Time      time.Time        `json:"time"`
	Builder   string           `json:"builder"`
	Toolchain string           `json:"toolchain,omitempty"`
	Targets   []TargetManifest `json:"targets"`
	Digest    release.Digest   `json:"digest"` // over all the above, contents included
}

// TargetManifest is the part of a bundle for one architecture.
type TargetManifest struct {
	GOOS       string         `json:"goos"`
	GOARCH     string         `json:"goarch"`
	Executable string         `json:"executable"` // path of the main executable inside the release
	Files      []release.File `json:"files"`      // paths as they lie in the release folder
}
