package ntlm

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"hash"

	"crypto/sha256"
	"crypto/sha512"
)

const signatureSize = 16 // of each message, in bytes

// Session seals what goes out and opens what comes in, in order: the key
// streams run on from message to message. After an error it is void. Sealing
// and opening may each be done by one goroutine at a time.
type Session struct {
	out, in direction
}

type direction struct {
	cipher *rc4.Cipher
	mac    hash.Hash
	seq    uint32
}

func newSession(key []byte) (*Session, error) {
	return sessionFor(key, "client-to-server", "server-to-client")
}

func sessionFor(key []byte, out, in string) (*Session, error) {
	o, err := newDirection(key, out)
	if err != nil {
		return nil, err
	}
	i, err := newDirection(key, in)
	if err != nil {
		return nil, err
	}
	return &Session{out: o, in: i}, nil
}

func newDirection(key []byte, name string) (direction, error) {
	derive := func(use string) []byte {
		h := md5.New()
		h.Write(key)
		h.Write([]byte("session key to " + name + " " + use + " key magic constant\x00"))
		return h.Sum(nil)
	}
	c, err := rc4.NewCipher(derive("sealing"))
	return direction{cipher: c, mac: hmac.New(md5.New, derive("signing"))}, err
}

// SignatureSize is the size of a message's signature, in bytes.
func (s *Session) SignatureSize() int { return signatureSize }

// Seal appends the signature and the cipher text of plain to dst.
func (s *Session) Seal(dst, plain []byte) []byte {
	at := len(dst)
	dst = append(append(dst, make([]byte, signatureSize)...), plain...)
	sum := s.out.sum(plain)
	sealed := dst[at+signatureSize:]
	s.out.cipher.XORKeyStream(sealed, sealed)
	copy(dst[at:], s.out.sign(sum))
	return dst
}

// Open decrypts sealed in place and checks its signature.
func (s *Session) Open(signature, sealed []byte) ([]byte, error) {
	if len(signature) != signatureSize {
		return nil, errors.New("sealed message: signature has a wrong length")
	}
	s.in.cipher.XORKeyStream(sealed, sealed)
	if !hmac.Equal(s.in.sign(s.in.sum(sealed)), signature) {
		return nil, errors.New("sealed message: signature does not match")
	}
	return sealed, nil
}

func (d *direction) sum(b []byte) []byte {
	d.mac.Reset()
	d.mac.Write(binary.LittleEndian.AppendUint32(nil, d.seq))
	d.mac.Write(b)
	return d.mac.Sum(nil)[:8]
}

func (d *direction) sign(sum []byte) []byte {
	d.cipher.XORKeyStream(sum, sum)
	sig := binary.LittleEndian.AppendUint32(nil, 1)
	sig = append(sig, sum...)
	sig = binary.LittleEndian.AppendUint32(sig, d.seq)
	d.seq++
	return sig
}

// Channel names the TLS connection by its server certificate (RFC 5929
// tls-server-end-point).
func Channel(cert *x509.Certificate) []byte {
	return append([]byte("tls-server-end-point:"), endpointHash(cert)...)
}

// ChannelBinding is the attribute that ties a logon to the TLS connection.
func ChannelBinding(cert *x509.Certificate) []byte {
	data := Channel(cert)
	b := make([]byte, 16) // no initiator and no acceptor address
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	sum := md5.Sum(append(b, data...))
	return sum[:]
}

// endpointHash uses the hash of the certificate's signature, but never one
// weaker than SHA-256.
func endpointHash(cert *x509.Certificate) []byte {
	switch cert.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h := sha512.Sum384(cert.Raw)
		return h[:]
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h := sha512.Sum512(cert.Raw)
		return h[:]
	}
	h := sha256.Sum256(cert.Raw)
	return h[:]
}
