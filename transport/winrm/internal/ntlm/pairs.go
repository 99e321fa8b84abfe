package ntlm

import (
	"encoding/binary"
	"fmt"
)

// Attribute ids (MS-NLMP 2.2.2.1).
const (
	avEnd            = 0
	avFlags          = 6
	avTimestamp      = 7
	avChannelBinding = 10

	avFlagIntegrity = 2 // the third message carries an integrity code
)

// avPairs are the host's attributes in their order, without the end mark.
type avPairs []avPair

type avPair struct {
	id    uint16
	value []byte
}

func parsePairs(b []byte) (avPairs, error) {
	var pairs avPairs
	for len(b) >= 4 {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if len(b) < 4+n {
			break
		}
		if id == avEnd {
			return pairs, nil
		}
		if (id == avTimestamp && n != 8) || (id == avFlags && n != 4) {
			return nil, fmt.Errorf("%w: attribute %d of %d bytes", errChallenge, id, n)
		}
		pairs = append(pairs, avPair{id, b[4 : 4+n]})
		b = b[4+n:]
	}
	return nil, fmt.Errorf("%w: attributes without end", errChallenge)
}

func (p avPairs) get(id uint16) ([]byte, bool) {
	for _, a := range p {
		if a.id == id {
			return a.value, true
		}
	}
	return nil, false
}

// with encodes the attributes with those the client adds: the flag that an
// integrity code follows, and the channel binding.
func (p avPairs) with(binding []byte) []byte {
	var flags uint32 = avFlagIntegrity
	if f, ok := p.get(avFlags); ok {
		flags |= binary.LittleEndian.Uint32(f)
	}
	var b []byte
	add := func(id uint16, v []byte) {
		b = binary.LittleEndian.AppendUint16(b, id)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(v)))
		b = append(b, v...)
	}
	for _, a := range p {
		if a.id != avFlags && a.id != avChannelBinding {
			add(a.id, a.value)
		}
	}
	add(avFlags, binary.LittleEndian.AppendUint32(nil, flags))
	if binding != nil {
		add(avChannelBinding, binding)
	}
	add(avEnd, nil)
	return b
}
