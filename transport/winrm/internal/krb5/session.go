package krb5

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // as HMAC, which RFC 3962 is made of
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Errors of messages that a host sealed.
var (
	errToken    = errors.New("malformed Kerberos token")
	errSealed   = errors.New("sealed message: it was changed on the way")
	errSequence = errors.New("sealed message: it is repeated or out of order")
)

// The header of a wrap token (RFC 4121 4.2.6.2).
const (
	headerSize = 16
	filler     = 0xff

	flagAcceptor = 1
	flagSealed   = 2
	flagSubkey   = 4 // of the acceptor
)

// Uses of a key (RFC 4121 2).
const (
	useAcceptorSeal  = 22
	useAcceptorSign  = 23
	useInitiatorSeal = 24
)

// suite is one of the encryption types that are strong enough.
type suite struct {
	key, mac int // sizes, in bytes
	hash     func() hash.Hash
	overText bool // the checksum covers the plain text, not the cipher text
}

// suites holds no RC4 and no DES: a host that wants them is refused.
var suites = map[int32]suite{
	etypeID.AES128_CTS_HMAC_SHA1_96:    {16, 12, sha1.New, true},
	etypeID.AES256_CTS_HMAC_SHA1_96:    {32, 12, sha1.New, true},
	etypeID.AES128_CTS_HMAC_SHA256_128: {16, 16, sha256.New, false},
	etypeID.AES256_CTS_HMAC_SHA384_192: {32, 24, sha512.New384, false},
}

func suiteOf(key types.EncryptionKey) (suite, error) {
	s, ok := suites[key.KeyType]
	if !ok || len(key.KeyValue) != s.key {
		return suite{}, fmt.Errorf("%w: encryption type %d", ErrWeak, key.KeyType)
	}
	return s, nil
}

// Session seals messages to a host and opens those from it, in order. After
// an error it is void.
type Session struct {
	suite
	subkey  byte // flagSubkey, or 0
	out, in direction
	mic     hash.Hash // what the acceptor signs with
}

type direction struct {
	block cipher.Block
	mac   hash.Hash
	seq   uint64
}

// newSession takes the key that both agreed on. subkey says that the host
// chose it; send and receive are the first sequence numbers.
func newSession(key types.EncryptionKey, subkey bool, send, receive uint32) (*Session, error) {
	return sessionFor(key, subkey, direction{seq: uint64(send)}, direction{seq: uint64(receive)}, useInitiatorSeal, useAcceptorSeal)
}

func sessionFor(key types.EncryptionKey, subkey bool, out, in direction, outUse, inUse uint32) (*Session, error) {
	kind, err := suiteOf(key)
	if err != nil {
		return nil, err
	}
	s := &Session{suite: kind, out: out, in: in}
	if subkey {
		s.subkey = flagSubkey
	}
	if err := s.out.init(key, kind, outUse); err != nil {
		return nil, err
	}
	sign, err := derive(key, useAcceptorSign, 0x99)
	if err != nil {
		return nil, err
	}
	s.mic = hmac.New(kind.hash, sign)
	return s, s.in.init(key, kind, inUse)
}

func (d *direction) init(key types.EncryptionKey, kind suite, use uint32) error {
	e, err := derive(key, use, 0xaa)
	if err != nil {
		return err
	}
	i, err := derive(key, use, 0x55)
	if err != nil {
		return err
	}
	d.mac = hmac.New(kind.hash, i)
	d.block, err = aes.NewCipher(e)
	return err
}

// derive makes the key for one use (RFC 3961 5.3, RFC 8009 3).
func derive(key types.EncryptionKey, use uint32, purpose byte) ([]byte, error) {
	kind, err := crypto.GetEtype(key.KeyType)
	if err != nil {
		return nil, err
	}
	return kind.DeriveKey(key.KeyValue, append(binary.BigEndian.AppendUint32(nil, use), purpose))
}

// rotation is how far our tokens are turned, so that what the cipher adds
// stands before the message and the message keeps its place.
func (s *Session) rotation() int { return headerSize + s.mac }

// SignatureSize is the size of what stands before the message, in bytes.
func (s *Session) SignatureSize() int { return headerSize + s.rotation() + blockSize }

// Seal appends the token of plain to dst.
func (s *Session) Seal(dst, plain []byte) []byte {
	at := len(dst)
	head := header(flagSealed|s.subkey, 0, s.out.seq)
	s.out.seq++
	dst = append(append(append(dst, make([]byte, s.SignatureSize())...), plain...), head...)
	body := dst[at+headerSize+s.rotation():] // confounder, message, header again
	rand.Read(body[:blockSize])              //nolint:errcheck // never fails
	sum := s.encrypt(&s.out, body)
	binary.BigEndian.PutUint16(head[6:], uint16(s.rotation()))
	end := len(dst) - headerSize
	turned := append(append(dst[at:at], head...), dst[end:]...)
	copy(dst[at+len(turned):], sum)
	return dst[:end]
}

func (s *Session) encrypt(d *direction, body []byte) (sum []byte) {
	if s.overText {
		sum = s.sum(d, body)
		encryptCTS(d.block, body)
		return sum
	}
	encryptCTS(d.block, body)
	return s.sum(d, body)
}

func (s *Session) sum(d *direction, body []byte) []byte {
	var vector [blockSize]byte
	d.mac.Reset()
	if !s.overText {
		d.mac.Write(vector[:])
	}
	d.mac.Write(body)
	return d.mac.Sum(nil)[:s.suite.mac]
}

func header(flags byte, extra uint16, seq uint64) []byte {
	h := binary.BigEndian.AppendUint16([]byte{5, 4, flags, filler}, extra)
	return binary.BigEndian.AppendUint64(append(h, 0, 0), seq)
}

// Open gives the plain text of a host's token, however far it is turned.
func (s *Session) Open(signature, sealed []byte) ([]byte, error) {
	return s.open(flagAcceptor, append(append(make([]byte, 0, len(signature)+len(sealed)), signature...), sealed...))
}

func (s *Session) open(from byte, token []byte) ([]byte, error) {
	if len(token) < headerSize || token[0] != 5 || token[1] != 4 || token[3] != filler {
		return nil, errToken
	}
	head, body := token[:headerSize], token[headerSize:]
	if head[2] != from|flagSealed|s.subkey {
		return nil, fmt.Errorf("%w: flags %#x", errToken, head[2])
	}
	extra := int(binary.BigEndian.Uint16(head[4:]))
	if len(body) < blockSize+extra+headerSize+s.suite.mac {
		return nil, errToken
	}
	if binary.BigEndian.Uint64(head[8:]) != s.in.seq {
		return nil, errSequence
	}
	body = turnBack(body, int(binary.BigEndian.Uint16(head[6:])))
	text, sum := body[:len(body)-s.suite.mac], body[len(body)-s.suite.mac:]
	if !s.decrypt(&s.in, text, sum) {
		return nil, errSealed
	}
	end := len(text) - headerSize
	if !hmac.Equal(text[end:], header(head[2], uint16(extra), s.in.seq)) {
		return nil, errSealed
	}
	s.in.seq++
	return text[blockSize : end-extra], nil
}

func (s *Session) decrypt(d *direction, text, sum []byte) bool {
	if s.overText {
		decryptCTS(d.block, text)
		return hmac.Equal(s.sum(d, text), sum)
	}
	if !hmac.Equal(s.sum(d, text), sum) {
		return false
	}
	decryptCTS(d.block, text)
	return true
}

// turnBack undoes a rotation to the right by n bytes.
func turnBack(b []byte, n int) []byte {
	if n %= len(b); n == 0 {
		return b
	}
	return append(append(make([]byte, 0, len(b)), b[n:]...), b[:n]...)
}

// checkMechs verifies the host's signature over the list of mechanisms that
// we offered, where it sent one (RFC 4178 5). It counts as a message.
func (s *Session) checkMechs(mic []byte) error {
	if mic == nil {
		return nil
	}
	list, err := mechList()
	if err != nil {
		return err
	}
	if len(mic) != headerSize+s.suite.mac || mic[0] != 4 || mic[1] != 4 || mic[2] != flagAcceptor|s.subkey ||
		binary.BigEndian.Uint64(mic[8:]) != s.in.seq {
		return fmt.Errorf("%w: signature of the negotiation", errToken)
	}
	s.mic.Write(list)
	s.mic.Write(mic[:headerSize])
	if !hmac.Equal(s.mic.Sum(nil)[:s.suite.mac], mic[headerSize:]) {
		return errSealed
	}
	s.in.seq++
	return nil
}
