package winrm

import (
	"context"
	"net/http"

	"github.com/go-shipper/shipper/transport/winrm/internal/krb5"
	"github.com/go-shipper/shipper/transport/winrm/internal/sspi"
)

// maxSteps bounds what a package of Windows wants to say to the host.
const maxSteps = 6

// current logs on as the Windows user who runs shipper. The packages of
// Windows have the names of the schemes.
func (l *link) current(ctx context.Context, scheme, service string) error {
	c, err := sspi.New(scheme, service, l.cert == nil, l.channel())
	if err != nil {
		return err
	}
	l.logoff = c.Close
	var said []byte
	for range maxSteps {
		token, done, err := c.Step(said)
		if err != nil {
			return err
		}
		a, err := l.postToken(ctx, scheme, token)
		if err != nil {
			return err
		}
		said, err = tokenOf(a, scheme)
		if a.status != http.StatusUnauthorized {
			if err := proven(c, a, said, done); err != nil {
				return err
			}
			if l.cert == nil {
				l.seals = &seals{sealer: c, protocol: protocols[scheme]}
			}
			return nil
		}
		if err != nil {
			return refusedOffers(a, scheme)
		}
	}
	return errRefused
}

// proven verifies the host's proof, where the package still waits for one.
func proven(c *sspi.Context, a *answer, said []byte, done bool) error {
	err := letIn(a)
	if err == nil && !done {
		_, done, err = c.Step(said)
	}
	if err == nil && !done {
		return krb5.ErrMutual
	}
	return err
}
