package delta

import (
	"context"
	"encoding/binary"
	"math/bits"
)

// block is a piece of the new file: lit bytes that are new, then size bytes
// that resemble those of the old file from old on.
type block struct{ lit, size, old int }

const (
	anchorSize = 24 // bytes that must be equal for two places to be compared
	anchorStep = 4  // every how many bytes of the old file are found by it
	checkBits  = 6  // of an entry, of the hash: most places that are none are told by them
	maxTable   = 22 // bits of an index into the table of places
	// margin is how many bytes more than the current displacement another
	// one must get right.
	margin = 8
	// settled is how many bytes behind where the open run was last alike another
	// place is looked for only now and then, in anchorStep of sparse bytes:
	// mostly an address has changed, and the run goes on.
	settled = 96
	sparse  = 32
)

// anchors finds places of the old file by the bytes that are there.
type anchors struct {
	old   []byte
	table []uint32
	drop  int // bits of a hash that are no index
}

func hash(b []byte) uint64 {
	x := binary.LittleEndian.Uint64(b) * 0x9e3779b97f4a7c15
	y := binary.LittleEndian.Uint64(b[8:]) * 0xc2b2ae3d27d4eb4f
	z := binary.LittleEndian.Uint64(b[16:]) * 0x165667b19e3779f9
	x ^= bits.RotateLeft64(y, 23) ^ bits.RotateLeft64(z, 41)
	return x * 0x9e3779b97f4a7c15
}

// plain bytes, padding above all, are everywhere: they tell no place.
func plain(b []byte) bool {
	return binary.LittleEndian.Uint64(b) == binary.LittleEndian.Uint64(b[8:])
}

func newAnchors(old []byte) *anchors {
	size := min(maxTable, bits.Len(uint(len(old)/anchorStep)))
	a := &anchors{old: old, table: make([]uint32, 1<<size), drop: 64 - size}
	for at := 0; at+anchorSize <= len(old); at += anchorStep {
		if b := old[at:]; !plain(b) {
			h := hash(b)
			a.table[h>>a.drop] = a.entry(h) | uint32(at/anchorStep+1)<<checkBits
		}
	}
	return a
}

// find returns a place of the old file that begins as b does, or -1.
func (a *anchors) find(b []byte) int {
	if plain(b) {
		return -1
	}
	h := hash(b)
	e := a.table[h>>a.drop]
	if e == 0 || e&(1<<checkBits-1) != a.entry(h) {
		return -1
	}
	at := int(e>>checkBits-1) * anchorStep
	if common(a.old[at:], b) < anchorSize {
		return -1
	}
	return at
}

// entry is what a place's entry has of its hash beside the index.
func (a *anchors) entry(h uint64) uint32 { return uint32(h>>(a.drop-checkBits)) & (1<<checkBits - 1) }

// common is how many bytes a and b have in common from the start.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for i+8 <= n {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)>>3
		}
		i += 8
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}

// commonEnd is how many bytes a and b have in common at the end.
func commonEnd(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// matcher walks over the new file and cuts it into blocks.
type matcher struct {
	old, new []byte
	index    *anchors
	blocks   []block
	done     int // up to here new lies in blocks
	start    int // of the run that is open: where it was first alike
	end      int // where it was last alike
	shift    int // old position less new position in the open run
	tries    int // of near that are left: each takes its time
}

// match cuts new into blocks, which cover it exactly.
func match(ctx context.Context, old, new []byte) ([]block, error) {
	m := &matcher{old: old, new: new, index: newAnchors(old), tries: maxTries}
	at, breath := 0, 0
	for at+anchorSize <= len(new) {
		if at >= breath {
			if breath = at + 1<<18; ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
		}
		if n := m.alike(at); n >= anchorSize {
			if gap := at - m.end; gap > 2*anchorSize && 2*m.hits(m.end, gap) < gap {
				m.begin(at, at+m.shift, n)
			}
			m.end = at + n
			at += n
			continue
		}
		if m.open() && at-m.end < settled && at&(sparse-1) >= anchorStep {
			at++
			continue
		}
		from := m.index.find(new[at:])
		if from < 0 {
			at++
			continue
		}
		n := common(old[from:], new[at:])
		if s := min(n, 256); m.open() && m.hits(at, s)+margin >= s {
			at++
			continue
		}
		m.begin(at, from, n)
		at += n
	}
	m.finish(len(new))
	return m.blocks, nil
}

func (m *matcher) open() bool { return m.end > m.start }

// alike is how many bytes from at on equal the old ones in the open run.
func (m *matcher) alike(at int) int {
	if !m.open() || at+m.shift < 0 || at+m.shift >= len(m.old) {
		return 0
	}
	return common(m.old[at+m.shift:], m.new[at:])
}

// hits counts the n bytes from at on that equal the old ones in the open run.
func (m *matcher) hits(at, n int) int {
	hits := 0
	for i := at; i < at+n; i++ {
		if j := i + m.shift; j >= 0 && j < len(m.old) && m.old[j] == m.new[i] {
			hits++
		}
	}
	return hits
}

// begin closes the open run, divides what lies between by what resembles
// which side more, and opens the next.
func (m *matcher) begin(at, from, n int) {
	back := commonEnd(m.old[:from], m.new[max(m.end, m.done):at])
	at, from, n = at-back, from-back, n+back
	m.fill(at)
	ahead := m.reachAhead(at)
	if m.open() && m.shift == from-at && m.end+ahead == at {
		m.end = at + n
		return
	}
	behind := reachBehind(m.old[:from], m.new[m.end:at])
	if over := ahead + behind - (at - m.end); over > 0 {
		ahead = m.divide(at, from, ahead, behind, over)
		behind = at - m.end - ahead
	}
	m.end += ahead
	m.flush()
	m.start, m.end, m.shift = at-behind, at+n, from-at
}

// fill covers what it can of a long piece in which no bytes are alike, as in
// tables of addresses that have all moved: there the differences are alike.
func (m *matcher) fill(limit int) {
	for m.open() && m.tries > 0 {
		m.end += m.reachAhead(limit)
		if limit-m.end < 2*probe {
			return
		}
		m.tries--
		shift, ok := m.near(m.end + probe)
		if !ok {
			return
		}
		at := m.end + probe
		behind := reachBehind(m.old[:at+shift], m.new[m.end:at])
		m.flush()
		m.start, m.end, m.shift = at-behind, at, shift
	}
}

const (
	probe    = 192 // bytes by which a displacement is judged
	maxTries = 2000
	nearest  = 512 // bytes around the current displacement where another is sought
)

// near looks for the displacement close to the current one with which the
// bytes at new position at differ from the old ones by the same few words.
func (m *matcher) near(at int) (int, bool) {
	best, shift := probe/4, 0
	for s := m.shift - nearest; s <= m.shift+nearest; s++ {
		if at+s < 0 || at+s+probe > len(m.old) {
			continue
		}
		var k known
		if score, _ := k.resemble(m.old[at+s:at+s+probe], m.new[at:at+probe], 1<<30); score > best {
			best, shift = score, s
		}
	}
	return shift, best > probe/4
}

// known are differences of words that were seen last.
type known struct {
	words [8]uint32
	next  int
}

func (k *known) seen(v uint32) bool {
	for _, w := range k.words {
		if v == w {
			return true
		}
	}
	k.words[k.next&7] = v
	k.next++
	return false
}

// resemble scores how well old tells new from the start, and how far that is
// worth the while. It gives up where the score fell by more than patience.
func (k *known) resemble(old, new []byte, patience int) (best, reach int) {
	n := min(len(old), len(new))
	score := 0
	for i := 0; i < n; {
		switch {
		case old[i] == new[i]:
			score++
			i++
		case i+4 <= n && k.seen(binary.LittleEndian.Uint32(new[i:])-binary.LittleEndian.Uint32(old[i:])):
			score += 2
			i += 4
		default:
			score -= 4
			i += 4
		}
		if score > best {
			best, reach = score, min(i, n)
		} else if score < best-patience {
			break
		}
	}
	return best, reach
}

// reachAhead is how far beyond its end the open run still resembles the old
// file, before limit.
func (m *matcher) reachAhead(limit int) int {
	if !m.open() {
		return 0
	}
	var k known
	_, reach := k.resemble(m.old[min(m.end+m.shift, len(m.old)):], m.new[m.end:limit], 64)
	return reach
}

func reachBehind(old, new []byte) int {
	score, best, reach := 0, 0, 0
	for i := 1; i <= len(new) && i <= len(old); i++ {
		if old[len(old)-i] == new[len(new)-i] {
			score++
		} else {
			score--
		}
		if score > best {
			best, reach = score, i
		}
	}
	return reach
}

// divide says where, in what both runs claim, the first one ends.
func (m *matcher) divide(at, from, ahead, behind, over int) int {
	first := m.end + ahead - over // of what both claim
	score, best, cut := 0, 0, 0
	for i := range over {
		b := m.new[first+i]
		if m.old[first+i+m.shift] == b {
			score++
		}
		if m.old[first+i+from-at] == b {
			score--
		}
		if score > best {
			best, cut = score, i+1
		}
	}
	return ahead - over + cut
}

func (m *matcher) flush() {
	if !m.open() {
		return
	}
	m.blocks = append(m.blocks, block{lit: m.start - m.done, size: m.end - m.start, old: m.start + m.shift})
	m.done = m.end
}

// finish closes the last run; what is left is new.
func (m *matcher) finish(limit int) {
	if m.open() {
		m.fill(limit)
		m.end += m.reachAhead(limit)
		m.flush()
	}
	if m.done < limit {
		m.blocks = append(m.blocks, block{lit: limit - m.done})
	}
}
