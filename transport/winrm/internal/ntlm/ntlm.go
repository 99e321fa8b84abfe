// Package ntlm is the client side of NTLMv2 with message sealing (MS-NLMP).
// It accepts nothing weaker: a host that does not offer extended session
// security, 128-bit keys and a key exchange is refused, and so is one that
// leaves out sealing where it was asked for.
package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rc4"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //lint:ignore SA1019 the protocol is made of it
)

// Negotiation flags (MS-NLMP 2.2.2.5).
const (
	flagUnicode     = 0x00000001
	flagTarget      = 0x00000004
	flagSign        = 0x00000010
	flagSeal        = 0x00000020
	flagNTLM        = 0x00000200
	flagAlwaysSign  = 0x00008000
	flagExtended    = 0x00080000
	flagTargetInfo  = 0x00800000
	flagVersion     = 0x02000000
	flag128         = 0x20000000
	flagKeyExchange = 0x40000000
	flag56          = 0x80000000

	flagsAsked    = flagUnicode | flagTarget | flagNTLM | flagAlwaysSign | flagExtended | flagTargetInfo | flagVersion | flag128 | flagKeyExchange | flag56
	flagsDemanded = flagUnicode | flagExtended | flagTargetInfo | flag128 | flagKeyExchange
)

var signature = []byte("NTLMSSP\x00")

// version is Windows 10.0 with NTLMSSP revision 15; hosts only log it.
var version = []byte{10, 0, 0, 0, 0, 0, 0, 15}

// Credentials of an account. Domain may be empty for accounts of the host.
type Credentials struct {
	User, Domain, Password string
}

// ParseUser splits DOMAIN\user; user@domain stays whole, as the protocol
// wants it. The domain is in upper case: hosts accept others at logon, but
// derive the sealing keys from the upper-case one.
func ParseUser(s string) (user, domain string) {
	if d, u, ok := strings.Cut(s, `\`); ok {
		if d == "." {
			d = ""
		}
		return u, strings.ToUpper(d)
	}
	return s, ""
}

// Client is one handshake. It is used once, by one goroutine.
type Client struct {
	creds     Credentials
	seal      bool
	binding   []byte
	negotiate []byte
	random    func([]byte)
	now       func() time.Time
}

// NewClient starts a handshake. seal asks for message encryption. binding is
// the MD5 of the TLS channel binding structure, or nil without TLS.
func NewClient(c Credentials, seal bool, binding []byte) *Client {
	return &Client{creds: c, seal: seal, binding: binding, random: fill, now: time.Now}
}

// Negotiate returns the first message.
func (c *Client) Negotiate() []byte {
	b := append([]byte(nil), signature...)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, c.flags())
	b = append(b, make([]byte, 16)...) // no domain, no workstation
	c.negotiate = append(b, version...)
	return c.negotiate
}

func (c *Client) flags() uint32 {
	if c.seal {
		return flagsAsked | flagSign | flagSeal
	}
	return flagsAsked
}

// Authenticate answers the host's challenge. The session is nil unless
// sealing was asked for.
func (c *Client) Authenticate(msg []byte) ([]byte, *Session, error) {
	ch, err := parseChallenge(msg)
	if err != nil {
		return nil, nil, err
	}
	demanded := uint32(flagsDemanded)
	if c.seal {
		demanded |= flagSign | flagSeal
	}
	if missing := demanded &^ ch.flags; missing != 0 {
		return nil, nil, fmt.Errorf("host offers too weak security: flags %#08x are missing", missing)
	}
	flags := ch.flags & c.flags()
	lm, nt, keyExchangeKey := c.respond(ch)
	exported := make([]byte, 16)
	c.random(exported)
	out := authenticateMessage(flags, lm, nt, utf16le(c.creds.Domain), utf16le(c.creds.User), rc4Once(keyExchangeKey, exported))
	copy(out[micOffset:], hmacMD5(exported, c.negotiate, msg, out))
	if !c.seal {
		return out, nil, nil
	}
	s, err := newSession(exported)
	return out, s, err
}

// respond computes the LMv2 and NTLMv2 responses and the session base key.
func (c *Client) respond(ch challenge) (lm, nt, key []byte) {
	hash := ntowfv2(c.creds)
	clientChallenge := make([]byte, 8)
	c.random(clientChallenge)
	stamp, stamped := ch.info.get(avTimestamp)
	lm = make([]byte, 24)
	if !stamped {
		stamp = filetime(c.now())
		lm = append(hmacMD5(hash, ch.nonce, clientChallenge), clientChallenge...)
	}
	temp := append([]byte{1, 1, 0, 0, 0, 0, 0, 0}, stamp...)
	temp = append(temp, clientChallenge...)
	temp = append(temp, 0, 0, 0, 0)
	temp = append(temp, ch.info.with(c.binding)...)
	temp = append(temp, 0, 0, 0, 0)
	proof := hmacMD5(hash, ch.nonce, temp)
	return lm, append(proof, temp...), hmacMD5(hash, proof)
}

// micOffset is where the integrity code lies in the third message: after
// the header, six payload fields, flags and version.
const micOffset = 72

func authenticateMessage(flags uint32, lm, nt, domain, user, key []byte) []byte {
	const header = micOffset + 16
	b := append([]byte(nil), signature...)
	b = binary.LittleEndian.AppendUint32(b, 3)
	offset := header + len(domain) + len(user)
	field := func(n, at int) {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
	}
	field(len(lm), offset)
	field(len(nt), offset+len(lm))
	field(len(domain), header)
	field(len(user), header+len(domain))
	field(0, header) // workstation
	field(len(key), offset+len(lm)+len(nt))
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, version...)
	b = append(b, make([]byte, 16)...) // the integrity code
	for _, p := range [][]byte{domain, user, lm, nt, key} {
		b = append(b, p...)
	}
	return b
}

func ntowfv2(c Credentials) []byte {
	h := md4.New()
	h.Write(utf16le(c.Password))
	return hmacMD5(h.Sum(nil), utf16le(strings.ToUpper(c.User)+c.Domain))
}

// challenge is the host's message.
type challenge struct {
	flags uint32
	nonce []byte
	info  avPairs
}

var errChallenge = errors.New("malformed NTLM challenge")

func parseChallenge(b []byte) (challenge, error) {
	if len(b) < 48 || string(b[:8]) != string(signature) || binary.LittleEndian.Uint32(b[8:]) != 2 {
		return challenge{}, errChallenge
	}
	size, at := int(binary.LittleEndian.Uint16(b[40:])), int64(binary.LittleEndian.Uint32(b[44:]))
	if at+int64(size) > int64(len(b)) {
		return challenge{}, errChallenge
	}
	info, err := parsePairs(b[at : at+int64(size)])
	return challenge{flags: binary.LittleEndian.Uint32(b[20:]), nonce: b[24:32], info: info}, err
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func rc4Once(key, b []byte) []byte {
	out := make([]byte, len(b))
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic(err) // keys here are always 16 bytes
	}
	c.XORKeyStream(out, b)
	return out
}

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// filetime counts 100 ns from 1601.
func filetime(t time.Time) []byte {
	const epoch = 116444736000000000
	return binary.LittleEndian.AppendUint64(nil, uint64(t.UnixNano()/100+epoch))
}

func fill(b []byte) {
	rand.Read(b) //nolint:errcheck // never fails
}
