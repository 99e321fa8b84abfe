package wsman

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The parts of a sealed message, MS-WSMV 2.2.9.1. The boundary is no MIME
// boundary, though it looks like one.
const (
	negotiateSealed = "application/HTTP-SPNEGO-session-encrypted"
	kerberosSealed  = "application/HTTP-Kerberos-session-encrypted"
	sealedType      = `multipart/encrypted;protocol="%s";boundary="Encrypted Boundary"`
	boundary        = "--Encrypted Boundary"
	octets          = "\tContent-Type: application/octet-stream\r\n"
	originalPrefix  = "type=application/soap+xml;charset=utf-8;length="
)

// maxSignature bounds what stands before the cipher text, in bytes.
const maxSignature = 256

var (
	errSealedForm   = errors.New("malformed sealed message")
	errSealedLength = errors.New("length of sealed message is wrong")
)

// unseal opens a request.
func unseal(key security, body []byte) ([]byte, error) {
	if key == nil {
		return nil, errSealedForm
	}
	header, rest, ok := bytes.Cut(body, []byte(boundary+"\r\n"+octets))
	if !ok {
		return nil, errSealedForm
	}
	length, err := originalLength(string(header))
	if err != nil {
		return nil, err
	}
	payload, ok := bytes.CutSuffix(bytes.TrimSuffix(rest, []byte("\r\n")), []byte(boundary+"--"))
	if !ok || len(payload) < 4 {
		return nil, errSealedForm
	}
	size := int64(binary.LittleEndian.Uint32(payload))
	if payload = payload[4:]; size > maxSignature || size > int64(len(payload)) {
		return nil, fmt.Errorf("%w: signature length", errSealedForm)
	}
	if len(payload)-int(size) != length {
		return nil, errSealedLength
	}
	return key.Unseal(payload[:size], payload[size:])
}

// originalLength reads the first part: what is sealed, and how long it is.
func originalLength(header string) (int, error) {
	header, ok := strings.CutPrefix(header, boundary+"\r\n")
	if !ok {
		return 0, errSealedForm
	}
	length := -1
	for line := range strings.SplitSeq(strings.TrimSuffix(header, "\r\n"), "\r\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch strings.ToLower(name) {
		case "content-type":
			if p := strings.TrimSpace(value); !strings.EqualFold(p, negotiateSealed) && !strings.EqualFold(p, kerberosSealed) {
				return 0, fmt.Errorf("%w: protocol", errSealedForm)
			}
		case "originalcontent":
			original := strings.ToLower(strings.ReplaceAll(value, " ", ""))
			number, ok := strings.CutPrefix(original, originalPrefix)
			n, err := strconv.Atoi(number)
			if !ok || err != nil || n < 0 {
				return 0, fmt.Errorf("%w: original content", errSealedForm)
			}
			length = n
		}
	}
	if length < 0 {
		return 0, errSealedForm
	}
	return length, nil
}

// protocolOf is the protocol of a sealed request, in which the reply goes too.
func protocolOf(contentType string) string {
	if strings.Contains(strings.ToLower(contentType), strings.ToLower(kerberosSealed)) {
		return kerberosSealed
	}
	return negotiateSealed
}

// seal closes a reply.
func seal(key security, protocol string, plain []byte) ([]byte, error) {
	signature, sealed, err := key.Seal(plain)
	if err != nil {
		return nil, fmt.Errorf("seal reply: %w", err)
	}
	var b bytes.Buffer
	b.Grow(len(plain) + 500)
	b.WriteString(boundary + "\r\n\tContent-Type: " + protocol + "\r\n")
	b.WriteString("\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=" + strconv.Itoa(len(plain)) + "\r\n")
	b.WriteString(boundary + "\r\n" + octets)
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(signature))))
	b.Write(signature)
	b.Write(sealed)
	b.WriteString(boundary + "--\r\n")
	return b.Bytes(), nil
}
