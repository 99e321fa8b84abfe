package winrm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-shipper/shipper/transport/winrm/internal/ntlm"
)

// A sealed message travels as a multipart of two parts: the length of the
// plain text, then signature and cipher text. Hosts want these very bytes,
// tabs included, and no line break before the last boundary (MS-WSMV 2.2.9.1).
const (
	sealedType   = `multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"`
	plainType    = "application/soap+xml;charset=UTF-8"
	boundary     = "--Encrypted Boundary"
	sealedHead   = boundary + "\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\tOriginalContent: type=" + plainType + ";Length=%d\r\n" + boundary + "\r\n\tContent-Type: application/octet-stream\r\n"
	sealedTail   = boundary + "--\r\n"
	maxSealedRow = 256 // a header row of a host, in bytes
)

var errSealed = errors.New("malformed sealed message")

// seal wraps a copy of plain: the request may have to be sent again.
func seal(s *ntlm.Session, plain []byte) []byte {
	out := make([]byte, 0, len(plain)+len(sealedHead)+len(sealedTail)+64)
	out = fmt.Appendf(out, sealedHead, len(plain))
	out = binary.LittleEndian.AppendUint32(out, ntlm.SignatureSize)
	at := len(out)
	out = append(out, make([]byte, ntlm.SignatureSize)...)
	out = append(out, plain...)
	copy(out[at:], s.Seal(out[at+ntlm.SignatureSize:]))
	return append(out, sealedTail...)
}

// open gives the plain text of a sealed message, in the message's memory.
func open(s *ntlm.Session, b []byte) ([]byte, error) {
	sig, sealed, err := splitSealed(b)
	if err != nil {
		return nil, err
	}
	return sealed, s.Open(sealed, sig)
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

func splitContent(b []byte, length int) (sig, sealed []byte, err error) {
	const head = 4 + ntlm.SignatureSize
	if length < 0 || len(b) < head || binary.LittleEndian.Uint32(b) != ntlm.SignatureSize || len(b)-head < length {
		return nil, nil, fmt.Errorf("%w: content", errSealed)
	}
	tail := bytes.TrimSpace(b[head+length:])
	if !bytes.HasPrefix(tail, []byte("--")) || !bytes.HasSuffix(tail, []byte("Encrypted Boundary--")) || len(tail) > len(boundary)+3 {
		return nil, nil, fmt.Errorf("%w: end", errSealed)
	}
	return b[4:head], b[head : head+length], nil
}
