package rpc

import (
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/release/attest"
)

// Have asks which contents the host still needs, and, if Service is set and
// anything is missing, on what deltas to them may build.
type Have struct {
	Digests []release.Digest `json:"digests"`
	Service string           `json:"service,omitempty"`
	Paths   []string         `json:"paths,omitempty"` // where the contents will lie in their release
	// Port is one that the asker wants to know the owner of; 0: none.
	Port int `json:"port,omitempty"`
}

// HaveReply lists what is missing, with the bytes already received of each,
// and what is there, the most likely bases first.
type HaveReply struct {
	Missing []Partial `json:"missing"`
	Bases   []Base    `json:"bases,omitempty"`
	Owner   string    `json:"owner,omitempty"` // program that listens on Port; empty: none, or nobody can tell
}

// Partial is a content that is not complete yet. What arrived of it goes on
// only in the encoding in which it began.
type Partial struct {
	Digest   release.Digest `json:"digest"`
	Have     int64          `json:"have"`
	Encoding string         `json:"encoding,omitempty"`
	Encoded  int64          `json:"encoded,omitempty"`
	Base     release.Digest `json:"base,omitempty"`
}

// Base is a large file of an installed release. Its digest is of the bytes
// that lie there: the host has just read them.
type Base struct {
	Digest  release.Digest  `json:"digest"`
	Size    int64           `json:"size"`
	Path    string          `json:"path"`
	Release release.Release `json:"release"` // the one that it belongs to
}

// Encodings of what travels.
const (
	EncodingRaw   = ""
	EncodingZstd  = "zstd"
	EncodingDelta = "delta" // of package delta, against Put.Base
)

// Put announces a content; its bytes follow in data frames from Offset on.
// Encoding says how they travel; offsets count encoded bytes.
type Put struct {
	Service  string         `json:"service"`
	Run      string         `json:"run"`
	Fence    int64          `json:"fence"`
	Digest   release.Digest `json:"digest"`
	Size     int64          `json:"size"`    // decoded
	Encoded  int64          `json:"encoded"` // bytes that travel in all
	Encoding string         `json:"encoding"`
	Offset   int64          `json:"offset"`
	Base     release.Digest `json:"base,omitempty"` // of EncodingDelta
	// Brief says that all bytes come with the request: nobody waits for word
	// that the host is ready for them.
	Brief bool `json:"brief,omitempty"`
}

// PutReply ends a put.
type PutReply struct {
	Complete bool  `json:"complete"`
	Have     int64 `json:"have"`
}

// Install assembles a release from contents the host has: complete, flushed
// and verified before it gets its name.
type Install struct {
	Fenced
	Release release.Release `json:"release"`
	Files   []release.File  `json:"files"`
	// Targets are the content digests of all targets of the release, so that
	// a host with the files of one can check Release.Digest (Release.Holds).
	Targets map[string]release.Digest `json:"targets,omitempty"`
	// Attestation vouches for the release, Trust says by whose key it must be
	// signed; the host may ask for more (service's pinned keys).
	Attestation []byte       `json:"attestation,omitempty"`
	Trust       attest.Trust `json:"trust,omitzero"`
}
