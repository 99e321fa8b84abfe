package winrm

import (
	"context"
	"net/http"

	"github.com/go-shipper/shipper/transport/winrm/internal/krb5"
	"github.com/go-shipper/shipper/transport/winrm/internal/sspi"
)

// maxSteps bounds what a package of Windows wants to say to the host.
const maxSteps = 6

// security is a package of Windows in the midst of a logon.
type security interface {
	sealer
	Step(answer []byte) (token []byte, done bool, err error)
	Close()
}

// current logs on as the Windows user who runs shipper. The packages of
// Windows have the names of the schemes.
func (l *link) current(ctx context.Context, scheme, service string) error {
	p, err := sspi.New(scheme, service, l.cert == nil, l.channel())
	if err != nil {
		return err
	}
	l.logoff = p.Close
	return l.converse(ctx, scheme, p)
}

func (l *link) converse(ctx context.Context, scheme string, p security) error {
	var said []byte
	for range maxSteps {
		token, done, err := l.step(ctx, p, said)
		if err != nil {
			return err
		}
		a, err := l.postToken(ctx, scheme, token)
		if err != nil {
			return err
		}
		said, err = tokenOf(a, scheme)
		if a.status != http.StatusUnauthorized {
			if err := l.proven(ctx, p, a, said, done); err != nil {
				return err
			}
			if l.cert == nil {
				l.seals = &seals{sealer: p, protocol: protocols[scheme]}
			}
			return nil
		}
		if err != nil {
			return refusedOffers(a, scheme)
		}
	}
	return errRefused
}

// step asks the package, which may ask a KDC and know of no deadline: what it
// does not end in time ends on its own.
func (l *link) step(ctx context.Context, p security, answer []byte) ([]byte, bool, error) {
	var token []byte
	var done bool
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		token, done, err = p.Step(answer)
	}()
	select {
	case <-ended:
		return token, done, err
	case <-ctx.Done():
	}
	l.logoff = func() {
		go func() {
			<-ended
			p.Close()
		}()
	}
	return nil, false, &linkError{err: context.Cause(ctx)}
}

// proven verifies the host's proof, where the package still waits for one.
func (l *link) proven(ctx context.Context, p security, a *answer, said []byte, done bool) error {
	err := letIn(a)
	if err == nil && !done {
		_, done, err = l.step(ctx, p, said)
	}
	if err == nil && !done {
		return krb5.ErrMutual
	}
	return err
}
