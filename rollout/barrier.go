package rollout

// Barrier is a release behind which a rollback would lead, though what it did
// can not be undone: it was committed after the revision that a host is to go
// to. One that was rolled back from already stands in nobody's way.
func Barrier(hosts []HostView, d Decision) (Kept, bool) {
	for _, h := range hosts {
		m := d.Moves[h.Host]
		if m.Move != Flip && m.Move != StartCold {
			continue
		}
		to, _ := newest(h.Retained, func(k Kept) bool { return k.Revision == m.Revision })
		for _, other := range hosts { // hosts that are behind may not know of it
			k, ok := newest(other.Retained, func(k Kept) bool {
				return k.Irreversible && !k.Rejected && k.Revision != m.Revision && k.Committed.After(to.Committed)
			})
			if ok {
				return k, true
			}
		}
	}
	return Kept{}, false
}
