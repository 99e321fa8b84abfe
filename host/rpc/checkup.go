package rpc

import "time"

// Checkup is what `shipper-host doctor` reads from stdin: whom it examines
// the host for. It answers one Finding per line.
type Checkup struct {
	Service string    `json:"service"`
	Listen  string    `json:"listen"`         // the public address; empty: none
	Ports   []int     `json:"ports"`          // of the slots
	Arch    string    `json:"arch"`           // GOARCH that the host is configured with; empty: any
	Account string    `json:"account"`        // of the slots; empty: their virtual accounts
	Need    int64     `json:"need"`           // bytes that a release and those retained take; 0: unknown
	Clock   time.Time `json:"clock"`          // of the controller, when it asked
	Logon   string    `json:"logon"`          // how the controller logs on: ntlm, kerberos …
	Basic   bool      `json:"basic"`          // it sends the password itself
	Root    string    `json:"root,omitempty"` // where releases lie; default: the layout's
}

// What a finding means for a deploy.
const (
	Fine    = "ok"
	Warning = "warning" // works, but not always or not as it should
	Problem = "problem" // a deploy fails
	Unknown = "unknown" // cannot be told here
)

// Finding is the outcome of one check.
type Finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"` // the exact thing to do
}

// Readiness is what about the host itself speaks against a change now.
type Readiness struct {
	Reboot   string `json:"reboot,omitempty"`   // why a reboot is pending
	Renames  bool   `json:"renames,omitempty"`  // only files that wait to be replaced at boot: many hosts always have some
	Updating string `json:"updating,omitempty"` // what is being installed
}
