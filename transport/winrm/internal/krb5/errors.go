package krb5

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/messages"
)

// ErrWeak refuses what is weaker than AES.
var ErrWeak = errors.New("only AES is strong enough")

// Error is what a KDC or a host said instead of letting us in.
type Error struct {
	Code int32 // RFC 4120 7.5.9
	Text string
	From string // "KDC of REALM" or "host"

	data []byte // what it tells about how to do it right
}

func (e *Error) Error() string {
	s := fmt.Sprintf("the %s says: %s", e.From, codeName(e.Code))
	if e.Text != "" && !strings.Contains(s, e.Text) {
		s += ": " + e.Text
	}
	return s
}

// codeName is the short name of a code, as (24) KDC_ERR_PREAUTH_FAILED.
func codeName(code int32) string {
	name := errorcode.Lookup(code)
	if i := strings.IndexByte(name, ' '); strings.HasPrefix(name, "(") && i > 0 {
		if j := strings.IndexByte(name[i+1:], ' '); j > 0 {
			return name[:i+1+j]
		}
	}
	return name
}

// Refused says that the credentials are wrong, locked or have expired; to try
// them again could lock the account.
func (e *Error) Refused() bool {
	switch e.Code {
	case errorcode.KDC_ERR_PREAUTH_FAILED, errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN, errorcode.KDC_ERR_CLIENT_REVOKED,
		errorcode.KDC_ERR_KEY_EXPIRED, errorcode.KDC_ERR_NAME_EXP, errorcode.KDC_ERR_CLIENT_NOTYET, errorcode.KDC_ERR_POLICY:
		return true
	}
	return false
}

// UnknownService says that no account has the service's name.
func (e *Error) UnknownService() bool {
	return e.Code == errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN || e.Code == errorcode.KRB_AP_ERR_MODIFIED || e.Code == errorcode.KRB_AP_ERR_NOT_US
}

// Skewed says that the clocks are too far apart.
func (e *Error) Skewed() bool { return e.Code == errorcode.KRB_AP_ERR_SKEW }

func hostError(message []byte) error {
	var e messages.KRBError
	if err := e.Unmarshal(message); err != nil {
		return fmt.Errorf("%w: %w", errToken, err)
	}
	return &Error{Code: e.ErrorCode, Text: printable(e.EText), From: "host"}
}

// printable keeps control characters of strangers off the terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 200)]
}

// guarded ends what the Kerberos library does with malformed messages, which
// at times is to panic, as an error.
func guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errToken, r)
		}
	}()
	return do()
}
