package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

// model says how likely each bit of a delta is. Encoder and decoder run the
// same code, one with a coder that writes what is in new, the other with one
// that reads what has to go there.
type model struct {
	c     coder
	image image
	places

	lit, size, jump numbers // of blocks
	quiet           []prob  // a chunk is as expected, by how the last ones were and how many addresses are in it
	hit             []prob  // an address moved as foretold, by the two bytes before it
	odd             []prob  // a byte differs, by how far away the last one was and what is around
	recent          []prob  // which of the last differences it is, by which it was before, and how long ago
	value           numbers // of a difference that is new

	inside  *segment // what is coded now lies here
	nowhere segment
	shift   int // and goes so far
	past    int // the last chunks, a bit each
	since   int // bytes since the last difference
	last    int // index of the last difference
	words   [recents]uint32
	old     []byte // the bytes that are compared, with an edge on both sides
	guess   [chunk + 4]byte
	tried   []*prob // what guess rests on
	bad     bool    // a number that cannot be
	target  int     // the last address that was looked at
	lessons []lesson
}

const (
	edge       = 8  // bytes that are known on either side of what is compared
	chunk      = 16 // bytes that are done at once if all is as expected
	margins    = 64 // what a piece may be longer than asked for
	recents    = 16
	lessonBits = 14
	lineBits   = 6       // of an address: what lies close together goes together
	pointer    = 1 << 16 // the index of pointers in hit, behind those of two bytes
)

func newModel(c coder, img image) *model {
	m := &model{
		c: c, image: img, lit: newNumbers(), size: newNumbers(), jump: newNumbers(), value: newNumbers(),
		quiet: newProbs(16 * 8), hit: newProbs(pointer + 1), odd: newProbs(64 * 512), recent: newProbs((recents + 1) * 8 * 32),
		old: make([]byte, piece+2*margins), lessons: make([]lesson, 1<<lessonBits),
	}
	m.inside = &m.nowhere
	return m
}

func (m *model) bit(p *prob, bit int) int {
	bit = m.c.bit(p.one(), bit)
	p.learn(bit)
	return bit
}

// numbers is the model of one kind of number: its length, its first bits by
// its length, the others as they come.
type numbers struct{ length, lead []prob }

func newNumbers() numbers { return numbers{newProbs(64), newProbs(33 * 8)} }

func (m *model) number(n numbers, v uint32) uint32 {
	size := m.tree(n.length, 6, bits.Len32(v))
	if size > 32 {
		m.bad = true
		return 0
	}
	if size < 2 {
		return uint32(size)
	}
	out, node := uint32(1), 1
	for i := size - 2; i >= 0; i-- {
		bit := int(v>>i) & 1
		if node < 8 {
			bit = m.bit(&n.lead[size*8+node], bit)
			node = node<<1 | bit
		} else {
			bit = m.c.bit(half, bit)
		}
		out = out<<1 | uint32(bit)
	}
	return out
}

// tree codes a value of n bits, each bit by those before it.
func (m *model) tree(p []prob, n, v int) int {
	node := 1
	for i := n - 1; i >= 0; i-- {
		node = node<<1 | m.bit(&p[node], v>>i&1)
	}
	return node - 1<<n
}

func zigzag(v int32) uint32   { return uint32(v<<1) ^ uint32(v>>31) }
func unzigzag(u uint32) int32 { return int32(u>>1) ^ -int32(u&1) }

// control codes a block; from is where the one before it ended in the old file.
func (m *model) control(b block, from int) block {
	return block{
		lit:  int(m.number(m.lit, uint32(b.lit))),
		size: int(m.number(m.size, uint32(b.size))),
		old:  from + int(unzigzag(m.number(m.jump, zigzag(int32(b.old-from))))),
	}
}

// errRead marks what is the old file's fault.
var errRead = errors.New("read the old file")

// piece codes the next bytes of a block whose copy begins at new position at
// and of which done bytes are done. It returns how many more are.
func (m *model) piece(old io.ReaderAt, b block, at, done int, new []byte) (int, error) {
	limit := b.size - done
	n := min(limit, piece)
	clear(m.old[:edge])
	from, skip := b.old+done-edge, 0
	if from < 0 {
		from, skip = 0, -from
	}
	got, err := old.ReadAt(m.old[skip:], int64(from))
	if err != nil && !errors.Is(err, io.EOF) || skip+got < edge+min(limit, n+margins) {
		return 0, fmt.Errorf("%w at %d: %w", errRead, from, err)
	}
	clear(m.old[skip+got:])
	m.shift = at - b.old
	return m.differ(new, b.old+done, n, limit), nil
}

// differ codes new against m.old, of which the first byte lies at start of the
// old file, until at least n of limit bytes are done.
func (m *model) differ(new []byte, start, n, limit int) int {
	i := 0
	for i < n {
		m.enter(start + i)
		end := m.expect(start, i, min(i+chunk, limit), limit)
		same := 0
		if bytes.Equal(m.guess[:end-i], new[i:end]) {
			same = 1
		}
		same = m.bit(&m.quiet[m.past&15<<3|min(len(m.tried), 7)], same)
		m.past = m.past<<1 | same
		if same == 0 {
			i = m.dirty(new, start, i, end, limit)
			continue
		}
		m.since += end - i
		i += copy(new[i:end], m.guess[:])
		for _, p := range m.tried {
			p.learn(1)
		}
	}
	return i
}

// enter finds the segment of a place in the old file.
func (m *model) enter(at int) {
	if s := m.inside; at < s.start || at >= s.start+s.size {
		if m.inside = m.image.at(at); m.inside == nil {
			m.inside = &m.nowhere
		}
	}
}

// expect fills guess with what new is if all is as foretold, from i to end or
// up to three bytes more, and returns that end.
func (m *model) expect(start, i, end, limit int) int {
	from := i
	m.tried = m.tried[:0]
	for i < end {
		if i+4 <= limit && m.announced(start, i) {
			if by, p := m.foretell(m.old[i:], start+i); by != 0 && p.one() > half {
				put(m.guess[i-from:], 4, word(m.old[edge+i:], 4)+by)
				m.tried = append(m.tried, p)
				i += 4
				continue
			}
		}
		m.guess[i-from] = m.old[edge+i]
		i++
	}
	return i
}

// dirty codes a chunk in which something is not as expected.
func (m *model) dirty(new []byte, start, i, end, limit int) int {
	for i < end {
		at := m.old[edge+i:]
		if i+4 <= limit && m.address(new[i:], start, i) {
			m.since += 4
			i += 4
			continue
		}
		odd := 0
		if at[0] != new[i] {
			odd = 1
		}
		if m.bit(&m.odd[min(m.since, 63)<<9|m.around(start, i)], odd) == 0 {
			new[i] = at[0]
			m.since++
			i++
			continue
		}
		n := min(4, limit-i)
		by := m.difference(word(new[i:], n)-word(at, n), n)
		put(new[i:], n, word(at, n)+by)
		if n == 4 {
			m.learn(by, start, i)
		}
		m.since = 0
		i += n
	}
	return i
}

// around says what in the neighbourhood of a byte tells whether it differs: in
// code the byte before it, in tables where in a row it stands.
func (m *model) around(start, i int) int {
	if m.inside.code {
		return int(m.old[edge+i-1])
	}
	return 256 | (start+i)&3<<4 | min(m.last, 15)
}

// address codes whether what looks like an address moved as foretold; if so it
// is done.
func (m *model) address(new []byte, start, i int) bool {
	by, p := m.foretell(m.old[i:], start+i)
	if by == 0 {
		return false
	}
	want := word(m.old[edge+i:], 4) + by
	hit := 0
	if word(new, 4) == want {
		hit = 1
	}
	if m.bit(p, hit) == 0 {
		return false
	}
	put(new, 4, want)
	return true
}

// foretell says by how much the word at a place of the old file changes if it
// is the address that it looks like: one relative to itself in code (a call, a
// jump, an operand), a pointer elsewhere. old begins edge bytes earlier.
func (m *model) foretell(old []byte, at int) (uint32, *prob) {
	if m.inside.code {
		b, before := old[edge-1], old[edge-2]
		if !announces(b, before) {
			return 0, nil
		}
		m.target = at - m.inside.start + m.inside.address + 4 + int(int32(word(old[edge:], 4)))
		return uint32(m.slide(m.target) - m.shift - m.inside.shift), &m.hit[int(before)<<8|int(b)]
	}
	if at&3 != 0 || m.image.base == 0 || uint64(word(old[edge+4:], 4)) != m.image.base>>32 {
		return 0, nil
	}
	m.target = int(word(old[edge:], 4) - uint32(m.image.base))
	return uint32(m.slide(m.target)), &m.hit[pointer]
}

// announces tells the bytes of code behind which an address stands.
func announces(b, before byte) bool {
	return b&0xfe == 0xe8 || b&0xc7 == 0x05 || before == 0x0f && b&0xf0 == 0x80
}

// announced is what foretell asks first: most bytes are no address.
func (m *model) announced(start, i int) bool {
	if m.inside.code {
		return announces(m.old[edge+i-1], m.old[edge+i-2])
	}
	return (start+i)&3 == 0
}

// learn keeps where an address really went that was foretold wrongly.
func (m *model) learn(by uint32, start, i int) {
	_, p := m.foretell(m.old[i:], start+i)
	if p == nil {
		return
	}
	went := int(int32(by))
	if m.inside.code {
		went += m.shift + m.inside.shift
	}
	*m.lesson(m.target) = lesson{m.target >> lineBits, went}
}

// lesson is a line of addresses, and how far what is there went.
type lesson struct{ line, went int }

func (m *model) lesson(address int) *lesson {
	return &m.lessons[uint32(address>>lineBits)*0x9e3779b1>>(32-lessonBits)]
}

// slide is how far what is at an address goes.
func (m *model) slide(address int) int {
	if l := m.lesson(address); l.line == address>>lineBits {
		return l.went
	}
	s := m.image.holding(address)
	if s == nil {
		return 0
	}
	return m.moved(s.start+min(address-s.address, s.size-1)) + s.shift
}

// difference codes by how much a word of n bytes changes.
func (m *model) difference(v uint32, n int) uint32 {
	if n < 4 {
		v &= 1<<(8*n) - 1
	}
	index := slices.Index(m.words[:], v)
	if index < 0 {
		index = recents
	}
	index = min(recents, m.tree(m.recent[(m.last<<3|min(m.since>>2, 7))*32:], 5, index))
	m.last = index
	if index == recents {
		v = uint32(unzigzag(m.number(m.value, zigzag(int32(v)))))
	} else {
		v = m.words[index]
	}
	copy(m.words[1:min(index+1, recents)], m.words[:])
	m.words[0] = v
	return v
}

// word is a little-endian number of n bytes.
func word(b []byte, n int) uint32 {
	if n == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	var v uint32
	for i := range n {
		v |= uint32(b[i]) << (8 * i)
	}
	return v
}

func put(b []byte, n int, v uint32) {
	for i := range n {
		b[i] = byte(v >> (8 * i))
	}
}
