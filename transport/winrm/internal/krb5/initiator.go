package krb5

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/flags"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// What we ask of the other end (RFC 4121 4.1.1.1).
const (
	wantMutual    = 2
	wantReplay    = 4
	wantSequence  = 8
	wantSealing   = 16
	wantIntegrity = 32
)

// ErrMutual says that the host could not prove that it is the one we asked
// for: somebody else answers there, and gets nothing from us.
var ErrMutual = errors.New("the host did not prove its identity")

// Initiator is one logon. It is used once, by one goroutine.
type Initiator struct {
	ticket    ticket
	auth      types.Authenticator
	negotiate bool
	token     []byte
}

// newInitiator makes the request for a ticket. binding is the MD5 of the TLS
// channel binding structure, or nil without TLS. negotiate wraps it for the
// scheme Negotiate instead of Kerberos.
func newInitiator(t ticket, client principal, binding []byte, negotiate bool) (*Initiator, error) {
	kind, err := suiteOf(t.key)
	if err != nil {
		return nil, err
	}
	auth, err := types.NewAuthenticator(client.realm, client.name)
	if err != nil {
		return nil, err
	}
	subkey := make([]byte, kind.key)
	rand.Read(subkey) //nolint:errcheck // never fails
	auth.SubKey = types.EncryptionKey{KeyType: t.key.KeyType, KeyValue: subkey}
	auth.Cksum = types.Checksum{CksumType: chksumtype.GSSAPI, Checksum: requestChecksum(binding)}
	i := &Initiator{ticket: t, auth: auth, negotiate: negotiate}
	i.token, err = i.request()
	return i, err
}

// requestChecksum is no checksum, but where the channel and our wishes go
// (RFC 4121 4.1.1).
func requestChecksum(binding []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 16)
	b = append(b, make([]byte, 16)...)
	copy(b[4:], binding)
	return binary.LittleEndian.AppendUint32(b, wantMutual|wantReplay|wantSequence|wantSealing|wantIntegrity)
}

func (i *Initiator) request() ([]byte, error) {
	req, err := messages.NewAPReq(i.ticket.ticket, i.ticket.key, i.auth)
	if err != nil {
		return nil, err
	}
	types.SetFlag(&req.APOptions, flags.APOptionMutualRequired)
	b, err := req.Marshal()
	if err != nil {
		return nil, err
	}
	token, err := frame(tokenRequest, b)
	if err != nil || !i.negotiate {
		return token, err
	}
	return negotiateInit(token)
}

// Token is what the host gets.
func (i *Initiator) Token() []byte { return i.token }

// Finish verifies the host's answer: only who can read the ticket knows what
// to say. An error that the host names instead is an *Error.
func (i *Initiator) Finish(answer []byte) (s *Session, err error) {
	err = guarded(func() error {
		s, err = i.finish(answer)
		return err
	})
	return s, err
}

func (i *Initiator) finish(answer []byte) (*Session, error) {
	if !i.negotiate {
		return i.reply(answer)
	}
	n, err := parseNegotiation(answer)
	if err != nil {
		return nil, err
	}
	if n.mech != nil && !n.mech.Equal(mechKerberos) && !n.mech.Equal(mechLegacy) {
		return nil, fmt.Errorf("%w: it wants %v instead of Kerberos", ErrMutual, n.mech)
	}
	s, err := i.reply(n.token)
	if err != nil {
		return nil, err
	}
	if n.state != 0 {
		return nil, fmt.Errorf("%w: negotiation ended in state %d", ErrMutual, n.state)
	}
	return s, s.checkMechs(n.mic)
}

// reply verifies an AP-REP, and takes the host's key if it chose one.
func (i *Initiator) reply(token []byte) (*Session, error) {
	kind, message, err := unframe(token)
	if err != nil {
		return nil, err
	}
	if kind == tokenError {
		return nil, hostError(message)
	}
	if kind != tokenReply {
		return nil, errToken
	}
	part, err := i.openReply(message)
	if err != nil {
		return nil, err
	}
	if part.CTime.Unix() != i.auth.CTime.Unix() || part.Cusec != i.auth.Cusec {
		return nil, ErrMutual
	}
	key, chosen := i.auth.SubKey, len(part.Subkey.KeyValue) > 0
	if chosen {
		key = part.Subkey
	}
	return newSession(key, chosen, uint32(i.auth.SeqNumber), uint32(part.SequenceNumber))
}

func (i *Initiator) openReply(message []byte) (messages.EncAPRepPart, error) {
	var rep messages.APRep
	var part messages.EncAPRepPart
	if err := rep.Unmarshal(message); err != nil {
		return part, fmt.Errorf("%w: %w", errToken, err)
	}
	plain, err := crypto.DecryptMessage(rep.EncPart.Cipher, i.ticket.key, keyusage.AP_REP_ENCPART)
	if err != nil {
		return part, fmt.Errorf("%w: %w", ErrMutual, err)
	}
	if err := part.Unmarshal(plain); err != nil {
		return part, fmt.Errorf("%w: %w", errToken, err)
	}
	return part, nil
}
