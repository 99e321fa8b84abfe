// Package sspi logs on as the Windows user who runs shipper, with the security
// packages of Windows: who is logged on to a domain has tickets already, and
// no password needs to be anywhere.
package sspi

import "errors"

// Packages of Windows.
const (
	Negotiate = "Negotiate" // Kerberos where it can, else NTLM
	Kerberos  = "Kerberos"
)

// ErrUnavailable says that this is not Windows.
var ErrUnavailable = errors.New("only Windows can log on as the user who runs shipper")

// ErrNoLogon says that the package has nothing to log on with.
var ErrNoLogon = errors.New("no logon as the Windows user who runs shipper")

// ErrWeak says that the other end left out what was asked for.
var ErrWeak = errors.New("the logon has no mutual authentication or no sealing")
