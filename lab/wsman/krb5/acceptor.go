// Package krb5 is the server's half of a Kerberos logon as WinRM has it: a
// ticket comes, its proof goes back, and what follows is sealed (RFC 4120,
// 4121). It seals by gokrb5's own encryption and shares no code with the
// client in transport/winrm, so that neither hides an error of the other.
package krb5

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	gofork "github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/asn1tools"
	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/asnAppTag"
	"github.com/jcmturner/gokrb5/v8/iana/chksumtype"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
	"github.com/jcmturner/gokrb5/v8/iana/msgtype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Errors of a logon.
var (
	ErrDenied    = errors.New("ticket refused")
	ErrMalformed = errors.New("malformed Kerberos token")
	ErrOrder     = errors.New("message out of order")
)

const skew = 5 * time.Minute

// Service is what a host knows: its keys, and the logons it has seen.
type Service struct {
	keys *keytab.Keytab

	mu   sync.Mutex
	seen map[string]time.Time
}

// NewService takes the content of a keytab.
func NewService(b []byte) (*Service, error) {
	k := keytab.New()
	if err := k.Unmarshal(b); err != nil {
		return nil, fmt.Errorf("read keytab: %w", err)
	}
	return &Service{keys: k, seen: map[string]time.Time{}}, nil
}

// Acceptor is one logon and the keys made by it. It belongs to one TCP
// connection and is not safe for concurrent use.
type Acceptor struct {
	service *Service
	user    string
	key     types.EncryptionKey
	in, out uint64
}

// Accept begins a connection.
func (s *Service) Accept() *Acceptor { return &Acceptor{service: s} }

// User is the name that was authenticated, as alice@REALM; empty before.
func (a *Acceptor) User() string { return a.user }

// Authenticate verifies a client's token and returns the answer, which after
// an error may be a token that names it. binding is the MD5 of the channel,
// nil without TLS; strict refuses a client that is not bound to it.
func (a *Acceptor) Authenticate(token, binding []byte, strict bool) (answer []byte, err error) {
	defer func() {
		if r := recover(); r != nil { // gokrb5, with a malformed message
			err = fmt.Errorf("%w: %v", ErrMalformed, r)
		}
	}()
	t, err := parseToken(token)
	if err != nil {
		return nil, err
	}
	var req messages.APReq
	if err := req.Unmarshal(t.request); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := a.verify(&req, binding, strict); err != nil {
		return refusal(t, err), err
	}
	reply, err := a.reply(&req)
	if err != nil {
		return nil, err
	}
	a.user = req.Ticket.DecryptedEncPart.CName.PrincipalNameString() + "@" + req.Ticket.DecryptedEncPart.CRealm
	return t.answer(tokenReply, reply)
}

func (a *Acceptor) verify(req *messages.APReq, binding []byte, strict bool) error {
	if _, err := req.Verify(a.service.keys, skew, types.HostAddress{}, nil); err != nil {
		return fmt.Errorf("%w: %w", ErrDenied, err)
	}
	sum := req.Authenticator.Cksum
	if sum.CksumType != chksumtype.GSSAPI || len(sum.Checksum) < 24 || binary.LittleEndian.Uint32(sum.Checksum) != 16 {
		return fmt.Errorf("%w: checksum of the authenticator", ErrMalformed)
	}
	if !bound(sum.Checksum[4:20], binding, strict) {
		return fmt.Errorf("%w: channel binding", ErrDenied)
	}
	return a.service.once(req.Authenticator)
}

// bound accepts a client that binds to nothing, unless the host is strict.
func bound(sent, want []byte, strict bool) bool {
	if want == nil {
		return true
	}
	if hmac.Equal(sent, make([]byte, len(sent))) {
		return !strict
	}
	return hmac.Equal(sent, want)
}

// once refuses a repeated authenticator.
func (s *Service) once(a types.Authenticator) error {
	key := fmt.Sprintf("%s %s %d %d", a.CRealm, a.CName.PrincipalNameString(), a.CTime.Unix(), a.Cusec)
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, at := range s.seen {
		if time.Since(at) > 2*skew {
			delete(s.seen, k)
		}
	}
	if _, again := s.seen[key]; again {
		return fmt.Errorf("%w: repeated", ErrDenied)
	}
	s.seen[key] = time.Now()
	return nil
}

// reply proves that we could read the ticket, and chooses the key.
func (a *Acceptor) reply(req *messages.APReq) ([]byte, error) {
	session := req.Ticket.DecryptedEncPart.Key
	a.key = types.EncryptionKey{KeyType: session.KeyType, KeyValue: make([]byte, len(session.KeyValue))}
	rand.Read(a.key.KeyValue) //nolint:errcheck // never fails
	var first [4]byte
	rand.Read(first[:]) //nolint:errcheck // never fails
	a.out, a.in = uint64(binary.BigEndian.Uint32(first[:])&0x3fffffff), uint64(req.Authenticator.SeqNumber)
	part, err := gofork.Marshal(messages.EncAPRepPart{
		CTime: req.Authenticator.CTime, Cusec: req.Authenticator.Cusec, Subkey: a.key, SequenceNumber: int64(a.out),
	})
	if err != nil {
		return nil, err
	}
	sealed, err := crypto.GetEncryptedData(asn1tools.AddASNAppTag(part, asnAppTag.EncAPRepPart), session, keyusage.AP_REP_ENCPART, 0)
	if err != nil {
		return nil, err
	}
	rep, err := gofork.Marshal(messages.APRep{PVNO: 5, MsgType: msgtype.KRB_AP_REP, EncPart: sealed})
	return asn1tools.AddASNAppTag(rep, asnAppTag.APREP), err
}

// refusal names the error, as Windows does where it says anything.
func refusal(t token, err error) []byte {
	var e messages.KRBError
	if !errors.As(err, &e) {
		e = messages.NewKRBError(types.NewPrincipalName(2, "host"), "", errorcode.KRB_AP_ERR_MODIFIED, "")
	}
	b, err := e.Marshal()
	if err != nil {
		return nil
	}
	answer, err := t.answer(tokenError, b)
	if err != nil {
		return nil
	}
	return answer
}

var (
	mechKerberos = asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2}
	mechLegacy   = asn1.ObjectIdentifier{1, 2, 840, 48018, 1, 2, 2}
	mechSPNEGO   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2}
)
