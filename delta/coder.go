package delta

import "io"

// prob is how likely a bit is 1, in 1/65536, learned from the bits before at
// two speeds.
type prob struct{ fast, slow uint16 }

func (p prob) one() uint32 { return max(48, min(65488, (uint32(p.fast)+uint32(p.slow))>>1)) }

func (p *prob) learn(bit int) {
	if bit != 0 {
		p.fast += (65535 - p.fast) >> 4
		p.slow += (65535 - p.slow) >> 7
	} else {
		p.fast -= p.fast >> 4
		p.slow -= p.slow >> 7
	}
}

const half = 1 << 15

func newProbs(n int) []prob {
	p := make([]prob, n)
	for i := range p {
		p[i] = prob{half, half}
	}
	return p
}

// coder is a stream of bits, each with the probability that both ends give
// it. The writer takes the bit, the reader returns it: so the model exists
// once, and both ends cannot differ.
type coder interface {
	// bit codes one bit that is 1 with probability one/65536.
	bit(one uint32, bit int) int
}

// writer narrows an interval with each bit and gives out the bytes on which
// both of its ends agree.
type writer struct {
	low, high uint32
	out       []byte
}

func newWriter() *writer { return &writer{high: 1<<32 - 1} }

func (w *writer) bit(one uint32, bit int) int {
	mid := w.low + uint32(uint64(w.high-w.low)*uint64(one)>>16)
	if bit != 0 {
		w.high = mid
	} else {
		w.low = mid + 1
	}
	for (w.low^w.high)>>24 == 0 {
		w.out = append(w.out, byte(w.high>>24))
		w.low, w.high = w.low<<8, w.high<<8|255
	}
	return bit
}

// close returns what was written, with as many bytes as tell the last interval.
func (w *writer) close() []byte {
	return append(w.out, byte(w.low>>24)+1)
}

// reader follows the writer. A stream that ends early is an error that err
// keeps; the bits are zeros then.
type reader struct {
	low, high, at uint32
	in            io.ByteReader
	past          int
	err           error
}

// overrun is how far beyond the end of its bytes a reader may look: the last
// interval is told by fewer bytes than are compared with it.
const overrun = 3

func newReader(in io.ByteReader) *reader {
	r := &reader{high: 1<<32 - 1, in: in}
	for range 4 {
		r.at = r.at<<8 | r.next()
	}
	return r
}

func (r *reader) next() uint32 {
	b, err := r.in.ReadByte()
	if err == nil {
		return uint32(b)
	}
	if r.past++; r.err == nil && (err != io.EOF || r.past > overrun) {
		r.err = err
		if err == io.EOF {
			r.err = io.ErrUnexpectedEOF
		}
	}
	return 0
}

func (r *reader) bit(one uint32, _ int) int {
	mid := r.low + uint32(uint64(r.high-r.low)*uint64(one)>>16)
	bit := 0
	if r.at <= mid {
		bit, r.high = 1, mid
	} else {
		r.low = mid + 1
	}
	for (r.low^r.high)>>24 == 0 {
		r.low, r.high = r.low<<8, r.high<<8|255
		r.at = r.at<<8 | r.next()
	}
	return bit
}
