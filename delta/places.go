package delta

import "sort"

// places tells how far each page of the old file moved.
type places []int32

const pageSize = 32

// newPlaces believes the longer of two blocks that both claim a page; a page
// that none claims went where the one before it did.
func newPlaces(blocks []block, size int) places {
	type move struct{ old, size, by int }
	moves := make([]move, 0, len(blocks))
	at := 0
	for _, b := range blocks {
		moves = append(moves, move{b.old, b.size, at + b.lit - b.old})
		at += b.lit + b.size
	}
	sort.SliceStable(moves, func(i, j int) bool { return moves[i].size < moves[j].size })
	p := make(places, size/pageSize+1)
	claimed := make([]bool, len(p))
	for _, m := range moves {
		for page := (m.old + pageSize - 1) / pageSize; page*pageSize < m.old+m.size; page++ {
			p[page], claimed[page] = int32(m.by), true
		}
	}
	for page := 1; page < len(p); page++ {
		if !claimed[page] {
			p[page] = p[page-1]
		}
	}
	return p
}

// moved is how far what stood at a place of the old file moved.
func (p places) moved(old int) int {
	if old < 0 || old/pageSize >= len(p) {
		return 0
	}
	return int(p[old/pageSize])
}
