package ntlm

import (
	"encoding/binary"
	"fmt"
	"time"
	"unicode/utf16"
)

// Kinds of attribute-value pairs, MS-NLMP 2.2.2.1.
const (
	avEOL             = 0
	avComputer        = 1
	avDomain          = 2
	avDNSComputer     = 3
	avDNSDomain       = 4
	avFlags           = 6
	avTimestamp       = 7
	avChannelBindings = 10
)

// challengeMessage is message 2. It names the machine twice, as a machine
// outside of a domain does.
func challengeMessage(challenge [8]byte, client uint32, computer string, now time.Time) []byte {
	const header = 56
	flags := uint32(offered)
	// What the client did not ask for is not granted, the base excepted.
	flags &= client | required | flagTarget | flagServer | flagTargetInfo | flagVersion
	name := utf16le(computer)
	info := targetInfo(name, now)

	b := append([]byte("NTLMSSP\x00"), 2, 0, 0, 0)
	b = appendField(b, len(name), header)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, challenge[:]...)
	b = append(b, make([]byte, 8)...)
	b = appendField(b, len(info), header+len(name))
	b = append(b, 10, 0, 0x7c, 0x4f, 0, 0, 0, 15) // 10.0.20348, revision 15
	b = append(b, name...)
	return append(b, info...)
}

func targetInfo(name []byte, now time.Time) []byte {
	var b []byte
	pair := func(id uint16, value []byte) {
		b = binary.LittleEndian.AppendUint16(b, id)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		b = append(b, value...)
	}
	pair(avDomain, name)
	pair(avComputer, name)
	pair(avDNSDomain, name)
	pair(avDNSComputer, name)
	pair(avTimestamp, binary.LittleEndian.AppendUint64(nil, filetime(now)))
	pair(avEOL, nil)
	return b
}

// filetime counts 100 ns since 1601.
func filetime(t time.Time) uint64 { return uint64(t.UnixNano()/100) + 116444736000000000 }

func appendField(b []byte, length, offset int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(length))
	b = binary.LittleEndian.AppendUint16(b, uint16(length))
	return binary.LittleEndian.AppendUint32(b, uint32(offset))
}

// authenticate is message 3, taken apart.
type authenticate struct {
	flags        uint32
	domain, user string
	response     []byte // the proof (16 bytes) and what it was made over
	sessionKey   []byte
	pairs        map[uint16][]byte
}

func parseAuthenticate(b []byte) (authenticate, error) {
	var m authenticate
	if MessageType(b) != 3 || len(b) < 64 || len(b) > maxMessage {
		return m, ErrMalformed
	}
	m.flags = binary.LittleEndian.Uint32(b[60:])
	fields := make([][]byte, 0, 4)
	for _, at := range []int{20, 28, 36, 52} {
		f, err := field(b, at)
		if err != nil {
			return m, err
		}
		fields = append(fields, f)
	}
	m.response, m.domain, m.user, m.sessionKey = fields[0], fromUTF16(fields[1]), fromUTF16(fields[2]), fields[3]
	// 24 bytes are version 1, none is an anonymous logon.
	if len(m.response) < 16+28 {
		return m, fmt.Errorf("%w: not version 2", ErrDenied)
	}
	if m.response[16] != 1 || m.response[17] != 1 {
		return m, fmt.Errorf("%w: response version", ErrMalformed)
	}
	var err error
	m.pairs, err = parsePairs(m.response[16+28:])
	return m, err
}

// field follows length and offset at b[at:].
func field(b []byte, at int) ([]byte, error) {
	length := uint64(binary.LittleEndian.Uint16(b[at:]))
	offset := uint64(binary.LittleEndian.Uint32(b[at+4:]))
	if length == 0 {
		return nil, nil
	}
	if offset+length > uint64(len(b)) {
		return nil, fmt.Errorf("%w: field beyond the end", ErrMalformed)
	}
	return b[offset : offset+length], nil
}

func parsePairs(b []byte) (map[uint16][]byte, error) {
	out := map[uint16][]byte{}
	for len(b) >= 4 {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		b = b[4:]
		if id == avEOL {
			return out, nil
		}
		if n > len(b) {
			break
		}
		out[id], b = b[:n], b[n:]
	}
	return nil, fmt.Errorf("%w: target info", ErrMalformed)
}

func fromUTF16(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}
