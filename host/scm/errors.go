package scm

import (
	"fmt"

	"github.com/go-shipper/shipper/problem"
)

// Codes of Windows that tell how a start failed, told apart because what to
// do about them differs. The process-based manager uses the same ones.
const (
	CodeFileNotFound   = 2
	CodeAccessDenied   = 5
	CodeSharing        = 32   // a scanner or a backup has the program open
	CodeVirus          = 225  // a scanner takes it for malware
	CodeVirusDeleted   = 226  // and took it away
	CodeImageHash      = 577  // its signature is missing or wrong
	CodeRequestTimeout = 1053 // the process did not report to the service manager in time
	CodeDisabled       = 1058
	CodeAborted        = 1067 // the process ended without a word
	CodeDependency     = 1068
	CodeLogon          = 1069
	CodePolicy         = 1260 // AppLocker, software restriction
	CodeAppControl     = 4551 // WDAC
)

// StartError tells how a service failed to start.
type StartError struct {
	Service string
	Code    uint32 // of Windows; 0 if the service ended with an exit code of its own
	Exit    uint32 // the service's own exit code
	Err     error  // what the system said
}

func (e *StartError) Error() string {
	switch {
	case e.Code != 0 && e.Err != nil:
		return fmt.Sprintf("%v (code %d)", e.Err, e.Code)
	case e.Code != 0:
		return fmt.Sprintf("code %d", e.Code)
	default:
		return fmt.Sprintf("it ended with exit code %d", e.Exit)
	}
}

// Unwrap gives what the system said.
func (e *StartError) Unwrap() error { return e.Err }

// Retry reports whether the same start may succeed a little later: a busy
// boot, a dependency or a domain controller that is not up yet, a scanner that
// is still reading the program.
func (e *StartError) Retry() bool {
	return e.Code == CodeRequestTimeout || e.Code == CodeDependency || e.Code == CodeLogon || e.Code == CodeSharing
}

var startHints = map[uint32]string{
	CodeFileNotFound:   "check that the executable exists where the service's image path points",
	CodeAccessDenied:   "give the service's account the right to read and execute its program",
	CodeSharing:        "leave the folder of releases out of virus scans and backups",
	CodeVirus:          "tell the virus scanner that the program is wanted, or sign it",
	CodeVirusDeleted:   "take the program off the virus scanner's list of finds, and push it again",
	CodeImageHash:      "sign the program: the host runs no other",
	CodePolicy:         "allow the folder of releases in AppLocker or the software restriction policies",
	CodeAppControl:     "allow the program's publisher or digest in the App Control (WDAC) policy",
	CodeRequestTimeout: "use mode console for a program that is no Windows service, or look for a slow start in its log",
	CodeDisabled:       "enable the service, it was disabled by somebody else",
	CodeAborted:        "look into the service's log: the process crashed while starting",
	CodeDependency:     "start the services that this one depends on and see why they fail",
	CodeLogon:          "check the service account's password and its right to log on as a service",
}

// problem gives the error the shape that people see.
func (e *StartError) problem() error {
	hint := startHints[e.Code]
	if e.Code == 0 {
		hint = "look into the service's log for the reason"
	}
	return problem.Wrap(problem.Failed, e, "start service "+e.Service, hint)
}
