// Package attest holds what vouches for a release: an in-toto statement with
// SLSA provenance, in a DSSE envelope, in a Sigstore bundle, signed by a local
// key. Controller and host verify with the same code, and other tools can.
package attest

import (
	"encoding/json"
	"fmt"

	"github.com/go-shipper/shipper/release"
)

// Types that the statement's readers know it by.
const (
	StatementType  = "https://in-toto.io/Statement/v1"
	ProvenanceType = "https://slsa.dev/provenance/v1"
	BuildType      = "https://github.com/go-shipper/shipper/build/v1"
	BuilderID      = "https://github.com/go-shipper/shipper"
)

// Statement says of its subjects where they come from.
type Statement struct {
	Type          string     `json:"_type"`
	Subject       []Subject  `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     Provenance `json:"predicate"`
}

// Subject is a file, by name and digest.
type Subject struct {
	Name   string `json:"name"`
	Digest Digest `json:"digest"`
}

// Digest is a SHA-256, or the commit of a source.
type Digest struct {
	SHA256    release.Digest `json:"sha256,omitempty"`
	GitCommit string         `json:"gitCommit,omitempty"`
}

// Provenance is SLSA's predicate. It holds no time of its own: the same
// commit gives the same statement.
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what went in.
type BuildDefinition struct {
	BuildType            string     `json:"buildType"`
	ExternalParameters   Claim      `json:"externalParameters"`
	ResolvedDependencies []Resource `json:"resolvedDependencies,omitempty"`
}

// Claim is what a host asks of a statement: of which release it speaks.
type Claim struct {
	Service string         `json:"service"`
	Version string         `json:"version"`
	Release release.Digest `json:"release"` // of all targets
	Commit  string         `json:"commit,omitempty"`
	Builder string         `json:"builder,omitempty"` // go | prebuilt
	Package string         `json:"package,omitempty"`
	Ldflags string         `json:"ldflags,omitempty"`
	// Successors are keys (PKIX) that hosts may trust from now on, because
	// the key that signed this says so.
	Successors [][]byte `json:"successors,omitempty"`
}

// Resource is something a build used.
type Resource struct {
	Name   string `json:"name,omitempty"`
	URI    string `json:"uri,omitempty"`
	Digest Digest `json:"digest,omitzero"`
}

// RunDetails is who did it.
type RunDetails struct {
	Builder Builder `json:"builder"`
}

// Builder names the program.
type Builder struct {
	ID string `json:"id"`
}

// NewStatement fills in what is the same in every statement of shipper.
func NewStatement(c Claim, subjects []Subject, used []Resource) Statement {
	return Statement{
		Type: StatementType, Subject: subjects, PredicateType: ProvenanceType,
		Predicate: Provenance{
			BuildDefinition: BuildDefinition{BuildType: BuildType, ExternalParameters: c, ResolvedDependencies: used},
			RunDetails:      RunDetails{Builder: Builder{ID: BuilderID}},
		},
	}
}

// Claim is of which release the statement speaks.
func (s Statement) Claim() Claim { return s.Predicate.BuildDefinition.ExternalParameters }

// Names reports whether a file of that name and digest is a subject.
func (s Statement) Names(name string, d release.Digest) bool {
	for _, subject := range s.Subject {
		if subject.Name == name && subject.Digest.SHA256 == d {
			return true
		}
	}
	return false
}

// Covers says why the statement is not about this release of the service, or
// nil.
func (s Statement) Covers(service string, r release.Release) error {
	c := s.Claim()
	if c.Service != service || c.Version != r.Version || c.Release != r.Digest {
		return fmt.Errorf("the signature is for %.80s %.64s (%s), not for %s %s", c.Service, c.Version, c.Release.Short(), service, r)
	}
	return nil
}

func decodeStatement(payload []byte) (Statement, error) {
	var s Statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return s, fmt.Errorf("read statement: %w", err)
	}
	if s.Type != StatementType || s.PredicateType != ProvenanceType || s.Predicate.BuildDefinition.BuildType != BuildType {
		return s, fmt.Errorf("statement of type %.80q about %.80q: not one of shipper", s.Type, s.PredicateType)
	}
	return s, nil
}
