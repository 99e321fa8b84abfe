package rpc

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Limits of the wire. Both sides end the connection when the other exceeds one.
const (
	MaxPayload = 256 << 10 // bytes of one frame
	MaxMessage = 16 << 20  // bytes of one request, reply or error, all its frames together
	Window     = 8 << 20   // bytes of data frames of one connection that may be unacknowledged
)

// Errors that end a connection. What ended it is wrapped in a BrokenError.
var (
	ErrCorrupt  = errors.New("corrupt frame")
	ErrGap      = errors.New("frames are missing")
	ErrTorn     = errors.New("connection torn inside a frame")
	ErrProtocol = errors.New("frame out of place")
	ErrClosed   = errors.New("connection closed")
)

// A frame's header, big endian: magic 4, kind 1, flags 1, zero 2, sequence 8,
// stream 4, length 4, offset 8, CRC-32C of these 32 bytes, CRC-32C of the 36
// bytes so far and the payload. The header has a sum of its own so that a
// damaged length is found at once and never waited for.
const (
	headerSize = 40
	magic      = 0x53485031 // "SHP1"
	flagMore   = 1
)

type kind uint8

const (
	kindHello   kind = iota + 1 // Hello
	kindWelcome                 // HelloReply
	kindRequest                 // request
	kindReply                   // the method's result
	kindError                   // Error; on stream 0 it refuses the hello
	kindData                    // bytes of a put, Offset counts encoded bytes
	kindAck                     // Offset: the data up to here is consumed
	kindCancel                  // the caller does not wait any more
)

// frame is one piece on the wire. Messages longer than a frame are cut: all
// but the last piece have more set, and offset counts from the message's start.
type frame struct {
	kind    kind
	more    bool
	stream  uint32
	offset  uint64
	payload []byte
	spent   func()  // called when the payload is on the wire; may be nil
	and     []frame // of data: those that fill the same Write
}

func (f frame) done() {
	if f.spent != nil {
		f.spent()
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (f frame) size() int { return headerSize + len(f.payload) }

// appendFrame appends f's bytes to b.
func appendFrame(b []byte, seq uint64, f frame) []byte {
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, magic)
	var flags byte
	if f.more {
		flags = flagMore
	}
	b = append(b, byte(f.kind), flags, 0, 0)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint32(b, f.stream)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.payload)))
	b = binary.BigEndian.AppendUint64(b, f.offset)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
	sum := crc32.Checksum(b[at:], castagnoli)
	b = binary.BigEndian.AppendUint32(b, crc32.Update(sum, castagnoli, f.payload))
	return append(b, f.payload...)
}

// frameReader gives each frame once and in order.
type frameReader struct {
	r    *bufio.Reader
	next uint64 // sequence number expected
	head [headerSize]byte
}

// Buffers of readers, in bytes: data comes in large pieces, answers in small ones.
const (
	dataReader   = 64 << 10
	littleReader = 4 << 10
)

func newFrameReader(r io.Reader, buffer int) *frameReader {
	return &frameReader{r: bufio.NewReaderSize(r, buffer)}
}

// read returns the next frame that was not seen before. io.EOF means that the
// stream ended between two frames.
func (r *frameReader) read() (frame, error) {
	for {
		seq, f, err := r.one()
		switch {
		case err != nil:
			return frame{}, err
		case seq > r.next:
			return frame{}, fmt.Errorf("%w: got %d, want %d", ErrGap, seq, r.next)
		case seq == r.next:
			r.next++
			return f, nil
		}
		// A write that timed out on the way and was delivered all the same.
	}
}

func (r *frameReader) one() (uint64, frame, error) {
	head := r.head[:]
	if n, err := io.ReadFull(r.r, head); err != nil {
		return 0, frame{}, ended(err, head[:n])
	}
	if binary.BigEndian.Uint32(head) != magic {
		return 0, frame{}, fmt.Errorf("%w: begins with %q", ErrCorrupt, head)
	}
	if crc32.Checksum(head[:32], castagnoli) != binary.BigEndian.Uint32(head[32:]) {
		return 0, frame{}, fmt.Errorf("%w: header sum", ErrCorrupt)
	}
	length := binary.BigEndian.Uint32(head[20:])
	if length > MaxPayload || head[5]&^flagMore != 0 || head[6] != 0 || head[7] != 0 {
		return 0, frame{}, fmt.Errorf("%w: length %d, flags %x", ErrCorrupt, length, head[5:8])
	}
	f := frame{
		kind: kind(head[4]), more: head[5]&flagMore != 0,
		stream: binary.BigEndian.Uint32(head[16:]), offset: binary.BigEndian.Uint64(head[24:]),
		payload: make([]byte, length),
	}
	if _, err := io.ReadFull(r.r, f.payload); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, frame{}, ErrTorn
	} else if err != nil {
		return 0, frame{}, err
	}
	sum := crc32.Update(crc32.Checksum(head[:36], castagnoli), castagnoli, f.payload)
	if sum != binary.BigEndian.Uint32(head[36:]) {
		return 0, frame{}, fmt.Errorf("%w: payload sum", ErrCorrupt)
	}
	return binary.BigEndian.Uint64(head[8:]), f, nil
}

// ended tells a clean end from a torn header, and shows what came instead of a
// frame: usually the words of a program that could not start.
func ended(err error, got []byte) error {
	switch {
	case !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case len(got) >= 4 && binary.BigEndian.Uint32(got) != magic:
		return fmt.Errorf("%w: %q", ErrCorrupt, got)
	default:
		return ErrTorn
	}
}
