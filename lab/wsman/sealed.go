package wsman

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/lab/wsman/ntlm"
)

// The parts of a sealed message, MS-WSMV 2.2.9.1. The boundary is no MIME
// boundary, though it looks like one.
const (
	sealedProtocol = "application/HTTP-SPNEGO-session-encrypted"
	sealedType     = `multipart/encrypted;protocol="` + sealedProtocol + `";boundary="Encrypted Boundary"`
	boundary       = "--Encrypted Boundary"
	octets         = "\tContent-Type: application/octet-stream\r\n"
	originalPrefix = "type=application/soap+xml;charset=utf-8;length="
)

var (
	errSealedForm   = errors.New("malformed sealed message")
	errSealedLength = errors.New("length of sealed message is wrong")
)

// unseal opens a request.
func unseal(a *ntlm.Acceptor, body []byte) ([]byte, error) {
	if a == nil {
		return nil, ntlm.ErrOrder
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
	if !ok || len(payload) < 4+ntlm.SignatureSize {
		return nil, errSealedForm
	}
	if binary.LittleEndian.Uint32(payload) != ntlm.SignatureSize {
		return nil, fmt.Errorf("%w: signature length", errSealedForm)
	}
	signature, sealed := payload[4:4+ntlm.SignatureSize], payload[4+ntlm.SignatureSize:]
	if len(sealed) != length {
		return nil, errSealedLength
	}
	return a.Unseal(signature, sealed)
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
			if !strings.EqualFold(strings.TrimSpace(value), sealedProtocol) {
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

// seal closes a reply.
func seal(a *ntlm.Acceptor, plain []byte) ([]byte, error) {
	signature, sealed, err := a.Seal(plain)
	if err != nil {
		return nil, fmt.Errorf("seal reply: %w", err)
	}
	var b bytes.Buffer
	b.Grow(len(plain) + 400)
	b.WriteString(boundary + "\r\n\tContent-Type: " + sealedProtocol + "\r\n")
	b.WriteString("\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=" + strconv.Itoa(len(plain)) + "\r\n")
	b.WriteString(boundary + "\r\n" + octets)
	b.Write(binary.LittleEndian.AppendUint32(nil, ntlm.SignatureSize))
	b.Write(signature)
	b.Write(sealed)
	b.WriteString(boundary + "--\r\n")
	return b.Bytes(), nil
}
