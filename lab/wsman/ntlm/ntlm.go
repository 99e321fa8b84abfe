// Package ntlm is the server's half of NTLM version 2, as MS-NLMP describes
// it: challenge, verification, and the signing and sealing of what follows.
// Version 1, LM and anonymous logons are refused.
package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rc4" //nolint:gosec // NTLM is defined over RC4
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 NTLM is defined over MD4
)

// Negotiation flags, MS-NLMP 2.2.2.5.
const (
	flagUnicode     = 0x00000001
	flagTarget      = 0x00000004
	flagSign        = 0x00000010
	flagSeal        = 0x00000020
	flagNTLM        = 0x00000200
	flagAlwaysSign  = 0x00008000
	flagServer      = 0x00020000
	flagExtended    = 0x00080000
	flagTargetInfo  = 0x00800000
	flagVersion     = 0x02000000
	flag128         = 0x20000000
	flagKeyExchange = 0x40000000
	flag56          = 0x80000000

	required = flagUnicode | flagNTLM | flagExtended | flag128
	offered  = required | flagTarget | flagSign | flagSeal | flagAlwaysSign | flagServer |
		flagTargetInfo | flagVersion | flagKeyExchange | flag56
)

// Errors of an exchange. ErrDenied stands for every wrong credential, so
// that a caller cannot tell which part was wrong.
var (
	ErrDenied    = errors.New("credentials refused")
	ErrMalformed = errors.New("malformed NTLM message")
	ErrOrder     = errors.New("NTLM message out of order")
)

// maxMessage bounds every message a client sends, in bytes.
const maxMessage = 16 << 10

// Acceptor verifies one client. It belongs to one TCP connection and is not
// safe for concurrent use.
type Acceptor struct {
	computer string
	password func(user string) (string, bool)

	negotiate, challengeMessage []byte
	challenge                   [8]byte
	user                        string
	in, out                     sealer
	done                        bool
}

// NewAcceptor returns an acceptor for the machine called computer. password
// gives the password of a user, compared without regard to case.
func NewAcceptor(computer string, password func(user string) (string, bool)) *Acceptor {
	return &Acceptor{computer: strings.ToUpper(computer), password: password}
}

// MessageType tells 1 (negotiate), 3 (authenticate), or 0 for what is no NTLM message.
func MessageType(b []byte) int {
	if len(b) < 12 || string(b[:8]) != "NTLMSSP\x00" {
		return 0
	}
	return int(binary.LittleEndian.Uint32(b[8:]))
}

// User is the name that was authenticated, empty before.
func (a *Acceptor) User() string { return a.user }

// Challenge answers the client's negotiate message.
func (a *Acceptor) Challenge(negotiate []byte) ([]byte, error) {
	if MessageType(negotiate) != 1 || len(negotiate) < 16 || len(negotiate) > maxMessage {
		return nil, ErrMalformed
	}
	if _, err := rand.Read(a.challenge[:]); err != nil {
		return nil, fmt.Errorf("make challenge: %w", err)
	}
	a.negotiate = append([]byte(nil), negotiate...)
	a.challengeMessage = challengeMessage(a.challenge, binary.LittleEndian.Uint32(negotiate[12:]), a.computer, time.Now())
	return a.challengeMessage, nil
}

// Authenticate verifies the client's last message. binding is the hash of the
// channel (ChannelBinding), nil without TLS; a client that sends one must send
// the right one, and where strict is set it must send one.
func (a *Acceptor) Authenticate(message, binding []byte, strict bool) error {
	if a.challengeMessage == nil || a.done {
		return ErrOrder
	}
	a.done = true
	m, err := parseAuthenticate(message)
	if err != nil {
		return err
	}
	if m.flags&required != required {
		return fmt.Errorf("%w: flags %#x", ErrDenied, m.flags)
	}
	password, known := a.password(m.user)
	key := ntowfv2(password, m.user, m.domain)
	proof := mac(key, a.challenge[:], m.response[16:])
	if subtle.ConstantTimeCompare(proof, m.response[:16]) != 1 || !known {
		return ErrDenied
	}
	if !bindingMatches(m.pairs[avChannelBindings], binding, strict) {
		return fmt.Errorf("%w: channel binding", ErrDenied)
	}
	session, err := sessionKey(mac(key, proof), m)
	if err != nil {
		return err
	}
	if err := a.checkIntegrity(m, message, session); err != nil {
		return err
	}
	a.user = m.user
	a.in, a.out = newSealer(session, m.flags, toServer), newSealer(session, m.flags, toClient)
	return nil
}

// checkIntegrity verifies the code over all three messages, where the client
// says that it sent one: only then were the flags not tampered with.
func (a *Acceptor) checkIntegrity(m authenticate, message, session []byte) error {
	flags := m.pairs[avFlags]
	if len(flags) != 4 || binary.LittleEndian.Uint32(flags)&2 == 0 {
		return nil
	}
	if len(message) < 88 {
		return ErrMalformed
	}
	zeroed := append([]byte(nil), message...)
	clear(zeroed[72:88])
	want := mac(session, a.negotiate, a.challengeMessage, zeroed)
	if !hmac.Equal(want, message[72:88]) {
		return fmt.Errorf("%w: integrity code", ErrDenied)
	}
	return nil
}

// sessionKey is the key that both sides sign and seal with.
func sessionKey(base []byte, m authenticate) ([]byte, error) {
	if m.flags&flagKeyExchange == 0 {
		return base, nil
	}
	if len(m.sessionKey) != 16 {
		return nil, fmt.Errorf("%w: session key", ErrMalformed)
	}
	c, err := rc4.NewCipher(base)
	if err != nil {
		return nil, fmt.Errorf("unwrap session key: %w", err)
	}
	out := make([]byte, 16)
	c.XORKeyStream(out, m.sessionKey)
	return out, nil
}

// ntowfv2 is the key made of password, user and domain.
func ntowfv2(password, user, domain string) []byte {
	h := md4.New()
	h.Write(utf16le(password))
	return mac(h.Sum(nil), utf16le(strings.ToUpper(user)+domain))
}

func mac(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// ChannelBinding is the value that a client binds its logon to, made of the
// hash of the server's certificate (RFC 5929 tls-server-end-point).
func ChannelBinding(certificateHash []byte) []byte {
	data := append([]byte("tls-server-end-point:"), certificateHash...)
	b := make([]byte, 16) // no addresses
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	sum := md5.Sum(append(b, data...))
	return sum[:]
}

// bindingMatches accepts clients that bind to nothing, as Windows does by
// default, unless the host is strict.
func bindingMatches(sent, want []byte, strict bool) bool {
	if want == nil {
		return true
	}
	if len(sent) == 0 || subtle.ConstantTimeCompare(sent, make([]byte, len(sent))) == 1 {
		return !strict
	}
	return hmac.Equal(sent, want)
}
