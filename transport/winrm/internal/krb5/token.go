package krb5

import (
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// Mechanisms, as GSS-API names them.
var (
	mechKerberos = asn1.ObjectIdentifier{1, 2, 840, 113554, 1, 2, 2}
	mechLegacy   = asn1.ObjectIdentifier{1, 2, 840, 48018, 1, 2, 2} // how Windows once wrote it
	mechSPNEGO   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 2}
)

// Messages of the Kerberos mechanism (RFC 4121 4.1).
const (
	tokenRequest = 0x0100
	tokenReply   = 0x0200
	tokenError   = 0x0300

	tagToken = der.Tag(0x60) // [APPLICATION 0]
)

// frame makes a message a GSS-API token.
func frame(kind uint16, message []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tagToken, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(mechKerberos)
		b.AddUint16(kind)
		b.AddBytes(message)
	})
	return b.Bytes()
}

// unframe takes a GSS-API token of the Kerberos mechanism apart.
func unframe(token []byte) (kind uint16, message []byte, err error) {
	var mech asn1.ObjectIdentifier
	var inner cryptobyte.String
	s := cryptobyte.String(token)
	if !s.ReadASN1(&inner, tagToken) || !s.Empty() || !inner.ReadASN1ObjectIdentifier(&mech) || !inner.ReadUint16(&kind) {
		return 0, nil, errToken
	}
	if !mech.Equal(mechKerberos) {
		return 0, nil, fmt.Errorf("%w: mechanism %v", errToken, mech)
	}
	return kind, inner, nil
}

// mechList is all that we negotiate: Kerberos or nothing.
func mechList() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(mechKerberos) })
	return b.Bytes()
}

// negotiateInit wraps a token for the scheme Negotiate (RFC 4178 4.2.1).
func negotiateInit(token []byte) ([]byte, error) {
	mechs, err := mechList()
	if err != nil {
		return nil, err
	}
	context := func(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }
	var b cryptobyte.Builder
	b.AddASN1(tagToken, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(mechSPNEGO)
		b.AddASN1(context(0), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddBytes(mechs) })
				b.AddASN1(context(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(token) })
			})
		})
	})
	return b.Bytes()
}

// negotiation is what a host answered (RFC 4178 4.2.2).
type negotiation struct {
	state int // 0: completed
	mech  asn1.ObjectIdentifier
	token []byte
	mic   []byte // over mechList
}

func parseNegotiation(b []byte) (negotiation, error) {
	n := negotiation{state: -1}
	var outer, seq cryptobyte.String
	s := cryptobyte.String(b)
	if !s.ReadASN1(&outer, der.Tag(1).ContextSpecific().Constructed()) || !s.Empty() || !outer.ReadASN1(&seq, der.SEQUENCE) || !outer.Empty() {
		return n, fmt.Errorf("%w: negotiation", errToken)
	}
	for !seq.Empty() {
		var field cryptobyte.String
		var tag der.Tag
		if !seq.ReadAnyASN1(&field, &tag) || !n.set(tag, field) {
			return n, fmt.Errorf("%w: negotiation", errToken)
		}
	}
	return n, nil
}

func (n *negotiation) set(tag der.Tag, field cryptobyte.String) bool {
	switch tag {
	case der.Tag(0).ContextSpecific().Constructed():
		return field.ReadASN1Enum(&n.state)
	case der.Tag(1).ContextSpecific().Constructed():
		return field.ReadASN1ObjectIdentifier(&n.mech)
	case der.Tag(2).ContextSpecific().Constructed():
		return field.ReadASN1Bytes(&n.token, der.OCTET_STRING)
	case der.Tag(3).ContextSpecific().Constructed():
		return field.ReadASN1Bytes(&n.mic, der.OCTET_STRING)
	}
	return false
}
