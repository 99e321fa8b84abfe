package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4" //nolint:gosec // NTLM is defined over RC4
	"encoding/binary"
	"errors"
	"fmt"
)

// SignatureSize is the length of the signature of a sealed message, in bytes.
const SignatureSize = 16

// ErrSignature means that a sealed message was changed, repeated or left out.
var ErrSignature = errors.New("wrong signature")

// Directions of a connection: the words that go into its keys.
const (
	toServer = "client-to-server"
	toClient = "server-to-client"
)

// sealer is one direction: a continuous RC4 stream and a sequence number.
type sealer struct {
	signKey  []byte
	stream   *rc4.Cipher
	exchange bool // the checksum is sealed too
	sequence uint32
}

func newSealer(session []byte, flags uint32, direction string) sealer {
	derive := func(purpose string) []byte {
		magic := "session key to " + direction + " " + purpose + " key magic constant\x00"
		sum := md5.Sum(append(append([]byte(nil), session...), magic...))
		return sum[:]
	}
	stream, err := rc4.NewCipher(derive("sealing"))
	if err != nil {
		panic("ntlm: 16 bytes are no RC4 key: " + err.Error()) // cannot be
	}
	return sealer{signKey: derive("signing"), stream: stream, exchange: flags&flagKeyExchange != 0}
}

func (s *sealer) signature(plain []byte) []byte {
	number := binary.LittleEndian.AppendUint32(nil, s.sequence)
	checksum := mac(s.signKey, number, plain)[:8]
	if s.exchange {
		s.stream.XORKeyStream(checksum, checksum)
	}
	s.sequence++
	sig := append([]byte{1, 0, 0, 0}, checksum...)
	return append(sig, number...)
}

// Seal encrypts plain for the client.
func (a *Acceptor) Seal(plain []byte) (signature, sealed []byte, err error) {
	if a.out.stream == nil {
		return nil, nil, ErrOrder
	}
	sealed = make([]byte, len(plain))
	a.out.stream.XORKeyStream(sealed, plain)
	return a.out.signature(plain), sealed, nil
}

// Unseal decrypts what the client sealed, in its own memory. After an error the connection's
// keys are out of step for good.
func (a *Acceptor) Unseal(signature, sealed []byte) ([]byte, error) {
	if a.in.stream == nil {
		return nil, ErrOrder
	}
	if len(signature) != SignatureSize {
		return nil, fmt.Errorf("%w: %d bytes", ErrSignature, len(signature))
	}
	a.in.stream.XORKeyStream(sealed, sealed)
	if !hmac.Equal(a.in.signature(sealed), signature) {
		return nil, ErrSignature
	}
	return sealed, nil
}
