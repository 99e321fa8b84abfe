package krb5

import (
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Kinds of messages in tokens (RFC 4121 4.1).
const (
	tokenRequest = 0x0100
	tokenReply   = 0x0200
	tokenError   = 0x0300
)

// token is a client's first: plain, or in SPNEGO.
type token struct {
	request    []byte // an AP-REQ
	negotiated bool
}

// IsToken tells Kerberos and SPNEGO from NTLM, which comes by the same scheme.
func IsToken(b []byte) bool { return len(b) > 0 && b[0] == 0x60 }

func parseToken(b []byte) (token, error) {
	mech, rest, err := open(b)
	if err != nil {
		return token{}, err
	}
	if mech.Equal(mechSPNEGO) {
		inner, err := negotiated(rest)
		if err != nil {
			return token{}, err
		}
		if mech, rest, err = open(inner); err != nil {
			return token{}, err
		}
		t, err := request(mech, rest)
		t.negotiated = true
		return t, err
	}
	return request(mech, rest)
}

func open(b []byte) (mech asn1.ObjectIdentifier, rest cryptobyte.String, err error) {
	s := cryptobyte.String(b)
	if !s.ReadASN1(&rest, 0x60) || !s.Empty() || !rest.ReadASN1ObjectIdentifier(&mech) {
		return nil, nil, ErrMalformed
	}
	return mech, rest, nil
}

func request(mech asn1.ObjectIdentifier, rest cryptobyte.String) (token, error) {
	var kind uint16
	if !mech.Equal(mechKerberos) && !mech.Equal(mechLegacy) || !rest.ReadUint16(&kind) || kind != tokenRequest {
		return token{}, fmt.Errorf("%w: no request of Kerberos", ErrMalformed)
	}
	return token{request: rest}, nil
}

// negotiated finds the token of the mechanism that the client likes best.
func negotiated(rest cryptobyte.String) ([]byte, error) {
	field := func(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }
	var outer, seq, list, mechs, ignored, inner cryptobyte.String
	var best asn1.ObjectIdentifier
	var present bool
	ok := rest.ReadASN1(&outer, field(0)) && outer.ReadASN1(&seq, der.SEQUENCE) &&
		seq.ReadASN1(&list, field(0)) && list.ReadASN1(&mechs, der.SEQUENCE) && mechs.ReadASN1ObjectIdentifier(&best) &&
		seq.ReadOptionalASN1(&ignored, &present, field(1)) && seq.ReadASN1(&inner, field(2))
	var b []byte
	if !ok || !inner.ReadASN1Bytes(&b, der.OCTET_STRING) {
		return nil, fmt.Errorf("%w: negotiation", ErrMalformed)
	}
	if !best.Equal(mechKerberos) && !best.Equal(mechLegacy) {
		return nil, fmt.Errorf("%w: the client prefers %v", ErrDenied, best)
	}
	return b, nil
}

// answer wraps a message as the client's token was.
func (t token) answer(kind uint16, message []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(0x60, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(mechKerberos)
		b.AddUint16(kind)
		b.AddBytes(message)
	})
	inner, err := b.Bytes()
	if err != nil || !t.negotiated {
		return inner, err
	}
	state := int64(0) // completed
	if kind != tokenReply {
		state = 2 // rejected
	}
	return negotiation(state, inner)
}

func negotiation(state int64, inner []byte) ([]byte, error) {
	field := func(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }
	var b cryptobyte.Builder
	b.AddASN1(field(1), func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(field(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(state) })
			b.AddASN1(field(1), func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(mechKerberos) })
			b.AddASN1(field(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(inner) })
		})
	})
	return b.Bytes()
}
