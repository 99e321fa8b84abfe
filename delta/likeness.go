package delta

// sample is how rare the places are by which two files are compared: one in
// so many.
const sample = 1 << 11

// Likeness is the share of places of new, picked by what is there, whose bytes
// occur in old too. It takes a fraction of the time that a delta takes.
func Likeness(old, new []byte) float64 {
	known := map[uint64]bool{}
	visit(old, func(h uint64) { known[h] = true })
	all, found := 0, 0
	visit(new, func(h uint64) {
		all++
		if known[h] {
			found++
		}
	})
	if all == 0 {
		return 0
	}
	return float64(found) / float64(all)
}

func visit(b []byte, f func(uint64)) {
	for at := 0; at+anchorSize <= len(b); at++ {
		if h := hash(b[at:]); h%sample == 0 && !plain(b[at:]) {
			f(h)
		}
	}
}
