package winrm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

// A sealed message travels as a multipart of two parts: the length of the
// plain text, then signature and cipher text. Hosts want these very bytes,
// tabs included, and no line break before the last boundary (MS-WSMV 2.2.9.1).
const (
	sealedType   = `multipart/encrypted;protocol="%s";boundary="Encrypted Boundary"`
	plainType    = "application/soap+xml;charset=UTF-8"
	boundary     = "--Encrypted Boundary"
	sealedHead   = boundary + "\r\n\tContent-Type: %s\r\n\tOriginalContent: type=" + plainType + ";Length=%d\r\n" + boundary + "\r\n\tContent-Type: application/octet-stream\r\n"
	sealedTail   = boundary + "--\r\n"
	maxSealedRow = 256 // a header row of a host, in bytes
)

// The protocols of sealed messages, after the scheme of the logon.
const (
	protocolNegotiate = "application/HTTP-SPNEGO-session-encrypted"
	protocolKerberos  = "application/HTTP-Kerberos-session-encrypted"
)

var protocols = map[string]string{schemeKerberos: protocolKerberos, schemeNegotiate: protocolNegotiate}

// sealer protects the messages of one connection, in order. After an error
// it is void.
type sealer interface {
	// Seal appends the signature and the cipher text of plain to dst, and
	// tells the length of the signature.
	Seal(dst, plain []byte) ([]byte, int, error)
	// Open gives the plain text of a message, in the message's memory.
	Open(signature, sealed []byte) ([]byte, error)
}

// session is a sealer of our own, which cannot fail to seal.
type session interface {
	Seal(dst, plain []byte) []byte
	SignatureSize() int
	Open(signature, sealed []byte) ([]byte, error)
}

type steady struct{ session }

func (s steady) Seal(dst, plain []byte) ([]byte, int, error) {
	return s.session.Seal(dst, plain), s.SignatureSize(), nil
}

// seals is how a connection protects its messages.
type seals struct {
	sealer
	protocol string
	spare    *spare
}

var errSealed = errors.New("malformed sealed message")

// seal wraps a copy of plain: the request may have to be sent again.
func (s *seals) seal(plain []byte) ([]byte, error) {
	out := s.spare.take(len(plain) + len(sealedHead) + len(sealedTail) + 256)
	out = fmt.Appendf(out, sealedHead, s.protocol, len(plain))
	at := len(out)
	out, n, err := s.Seal(append(out, 0, 0, 0, 0), plain)
	if err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint32(out[at:], uint32(n))
	return append(out, sealedTail...), nil
}

// spare keeps the memory of one large message for the next, whichever link of
// the host sends it: a sealed message is in use only until it is written, and
// most of its time a link waits. Nil keeps nothing.
type spare struct {
	mu  sync.Mutex
	buf []byte
}

func (s *spare) take(n int) []byte {
	if s == nil || n <= little {
		return make([]byte, 0, n)
	}
	s.mu.Lock()
	buf := s.buf
	s.buf = nil
	s.mu.Unlock()
	return room(buf, n)
}

func (s *spare) give(b []byte) {
	if s == nil || cap(b) <= little {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = b
}

func (s *spare) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = nil
}

// open gives the plain text of a sealed message, in the message's memory.
func (s *seals) open(b []byte) ([]byte, error) {
	sig, sealed, err := splitSealed(b)
	if err != nil {
		return nil, err
	}
	return s.Open(sig, sealed)
}

// splitSealed finds signature and cipher text. The cipher text is taken by
// its announced length, never by looking for a boundary inside it.
func splitSealed(b []byte) (sig, sealed []byte, err error) {
	length := -1
	for {
		row, rest, ok := cutRow(b)
		if !ok {
			return nil, nil, fmt.Errorf("%w: no content", errSealed)
		}
		b = rest
		name, value, _ := bytes.Cut(row, []byte(":"))
		switch string(bytes.ToLower(bytes.TrimSpace(name))) {
		case "originalcontent":
			if length, err = originalLength(value); err != nil {
				return nil, nil, err
			}
		case "content-type":
			if string(bytes.ToLower(bytes.TrimSpace(value))) == "application/octet-stream" {
				return splitContent(b, length)
			}
		}
	}
}

func cutRow(b []byte) (row, rest []byte, ok bool) {
	i := bytes.Index(b[:min(len(b), maxSealedRow)], []byte("\r\n"))
	if i < 0 {
		return nil, nil, false
	}
	return b[:i], b[i+2:], true
}

func originalLength(value []byte) (int, error) {
	_, s, ok := bytes.Cut(bytes.ToLower(value), []byte("length="))
	n, err := strconv.Atoi(string(bytes.TrimSpace(s)))
	if !ok || err != nil || n < 0 {
		return 0, fmt.Errorf("%w: length", errSealed)
	}
	return n, nil
}

// maxSignature bounds the signature of a host, in bytes. That of Kerberos
// holds what the cipher adds to the message: up to 72.
const maxSignature = 256

func splitContent(b []byte, length int) (sig, sealed []byte, err error) {
	if length < 0 || len(b) < 4 {
		return nil, nil, fmt.Errorf("%w: content", errSealed)
	}
	size := int64(binary.LittleEndian.Uint32(b))
	if b = b[4:]; size > maxSignature || int64(len(b))-size < int64(length) {
		return nil, nil, fmt.Errorf("%w: content", errSealed)
	}
	sig, b = b[:size], b[size:]
	tail := bytes.TrimSpace(b[length:])
	if !bytes.HasPrefix(tail, []byte("--")) || !bytes.HasSuffix(tail, []byte("Encrypted Boundary--")) || len(tail) > len(boundary)+3 {
		return nil, nil, fmt.Errorf("%w: end", errSealed)
	}
	return sig, b[:length], nil
}
