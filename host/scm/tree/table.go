package tree

// Proc is one process of a snapshot.
type Proc struct {
	Parent int
	Birth  uint64 // when it was created, in the system's own unit; 0 unknown
}

// Table is a snapshot of all processes by their number.
type Table map[int]Proc

// Below reports whether pid is root or one of its descendants. A parent's
// number may have been given away since (Windows keeps it): a child older
// than its parent is none.
func (t Table) Below(pid, root int) bool {
	for range len(t) {
		if pid == root {
			return true
		}
		p, ok := t[pid]
		if !ok || t.adopted(p) {
			return false
		}
		pid = p.Parent
	}
	return false
}

func (t Table) adopted(p Proc) bool {
	parent, ok := t[p.Parent]
	return !ok || p.Birth < parent.Birth
}

// Descendants lists all processes below root, without root itself.
func (t Table) Descendants(root int) []int {
	var all []int
	for pid := range t {
		if pid != root && t.Below(pid, root) {
			all = append(all, pid)
		}
	}
	return all
}
