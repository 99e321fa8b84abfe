package journal

import "github.com/go-shipper/shipper/release"

// Key tells of a key that was made (TypeKey).
type Key struct {
	ID      string `json:"id"`
	Private string `json:"private"` // path
	Public  string `json:"public"`  // path
}

// Verified tells what a bundle proves (TypeVerified).
type Verified struct {
	Bundle    string           `json:"bundle"`
	Service   string           `json:"service"`
	Release   release.Release  `json:"release"`
	Commit    string           `json:"commit,omitempty"`
	Builder   string           `json:"builder"`
	Toolchain string           `json:"toolchain,omitempty"`
	Key       string           `json:"key,omitempty"` // that signed it
	Trusted   bool             `json:"trusted"`
	Rebuilt   bool             `json:"rebuilt,omitempty"` // its commit gives these bits
	Targets   []VerifiedTarget `json:"targets"`
	Beside    []string         `json:"beside,omitempty"` // files beside it that were checked, too
}

// VerifiedTarget is the part for one architecture.
type VerifiedTarget struct {
	Target     string         `json:"target"`
	Executable string         `json:"executable"`
	SHA256     release.Digest `json:"sha256"`
	Unsigned   release.Digest `json:"unsigned,omitempty"` // before the Authenticode signature
	Signer     string         `json:"signer,omitempty"`
	Files      int            `json:"files"`
	SBOM       bool           `json:"sbom"`
}
