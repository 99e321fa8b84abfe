package krb5

import (
	"crypto/hmac"
	"encoding/binary"
	"fmt"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/crypto/etype"
	"github.com/jcmturner/gokrb5/v8/iana/keyusage"
)

// The header of a wrap token (RFC 4121 4.2.6.2).
const (
	headerSize = 16
	confounder = 16

	fromAcceptor = 1
	isSealed     = 2
	byOurKey     = 4
)

// Seal encrypts plain for the client. The signature holds all that the cipher
// adds, as WinRM sends it.
func (a *Acceptor) Seal(plain []byte) (signature, sealed []byte, err error) {
	if a.user == "" {
		return nil, nil, ErrOrder
	}
	kind, err := crypto.GetEtype(a.key.KeyType)
	if err != nil {
		return nil, nil, err
	}
	header := tokenHeader(fromAcceptor|isSealed|byOurKey, a.out)
	a.out++
	_, body, err := kind.EncryptMessage(a.key.KeyValue, append(append([]byte(nil), plain...), header...), keyusage.GSSAPI_ACCEPTOR_SEAL)
	if err != nil {
		return nil, nil, fmt.Errorf("seal: %w", err)
	}
	turned := added(kind)
	binary.BigEndian.PutUint16(header[6:], uint16(turned))
	at := len(body) - turned
	signature = append(append(header, body[at:]...), body[:confounder]...)
	return signature, body[confounder:at], nil
}

// Unseal decrypts what the client sealed. After an error the connection is
// out of step for good.
func (a *Acceptor) Unseal(signature, sealed []byte) ([]byte, error) {
	if a.user == "" {
		return nil, ErrOrder
	}
	kind, err := crypto.GetEtype(a.key.KeyType)
	if err != nil {
		return nil, err
	}
	token := append(append([]byte(nil), signature...), sealed...)
	if len(token) < headerSize+confounder+added(kind) {
		return nil, ErrMalformed
	}
	header, body := token[:headerSize], token[headerSize:]
	extra, turned := binary.BigEndian.Uint16(header[4:]), int(binary.BigEndian.Uint16(header[6:]))%len(body)
	header[6], header[7] = 0, 0
	want := tokenHeader(isSealed|byOurKey, a.in)
	binary.BigEndian.PutUint16(want[4:], extra)
	if !hmac.Equal(header, want) {
		return nil, fmt.Errorf("%w: header %x, want %x", ErrOrder, header, want)
	}
	body = append(append([]byte(nil), body[turned:]...), body[:turned]...)
	plain, err := kind.DecryptMessage(a.key.KeyValue, body, keyusage.GSSAPI_INITIATOR_SEAL)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	end := len(plain) - headerSize
	if !hmac.Equal(plain[end:], want) || end < int(extra) {
		return nil, fmt.Errorf("%w: header within", ErrMalformed)
	}
	a.in++
	return plain[:end-int(extra)], nil
}

// added is the length of what follows the message: the header again, and the
// checksum.
func added(kind etype.EType) int { return headerSize + kind.GetHMACBitLength()/8 }

func tokenHeader(flags byte, number uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{5, 4, flags, 0xff, 0, 0, 0, 0}, number)
}
