package simulate

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// writeBack is the age at which a system writes by itself what nobody flushed.
const writeBack = 30 * time.Second

// disk knows what a host has flushed, so that a loss of power takes the rest
// or a part of it. Names are journaled, as on NTFS and ext4: they reach the
// disk in the order in which they were changed, and every flush takes all that
// were changed before. What a file holds only its own flush brings there.
type disk struct {
	h   *machine
	rng *rand.Rand

	mu    sync.Mutex
	off   bool     // the power is off
	names []naming // that no flush has taken yet
	dirty map[string]unflushed
	cut   int // at so many changes from now the power goes; 0: at none
}

// naming is a change of a folder, and how it is taken back.
type naming struct {
	at   time.Time
	undo func()
}

// unflushed is a file of which the disk has only what it was.
type unflushed struct {
	since time.Time
	was   []byte
}

var errPowerless = errors.New("the power is off")

func newDisk(h *machine, rng *rand.Rand) *disk {
	return &disk{h: h, rng: rng, dirty: map[string]unflushed{}}
}

// changes is asked before anything on a host's disk changes.
func (w *world) changes(op, path, to string) error {
	for _, h := range w.hosts {
		if strings.HasPrefix(path, h.dir+"/") {
			return h.disk.change(op, path, to)
		}
	}
	return nil
}

func (d *disk) change(op, path, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut > 0 {
		if d.cut--; d.cut == 0 {
			d.off = true
			d.h.world.event("%s: the power goes at %s of %s", d.h.name, op, filepath.Base(path))
			go d.h.powerCut(2 * time.Second)
		}
	}
	switch {
	case d.off:
		return &os.PathError{Op: op, Path: path, Err: errPowerless}
	case op == "sync":
		d.names = nil
		delete(d.dirty, path)
	case op == "rename":
		d.renames(path, to)
	case op == "remove":
		d.removes(path)
	case op == "removeall": // as if it were flushed: hardly anybody waits for what is gone
		d.names = nil
		maps.DeleteFunc(d.dirty, func(name string, _ unflushed) bool { return within(path, name) })
	case op == "create" || op == "mkdir":
		d.creates(path)
	default:
		d.writes(path)
	}
	return nil
}

func within(dir, path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func (d *disk) named(undo func()) { d.names = append(d.names, naming{time.Now(), undo}) }

// creates notes a name that is new.
func (d *disk) creates(path string) {
	if _, err := os.Lstat(path); err == nil {
		return
	}
	d.dirty[path] = unflushed{since: time.Now()}
	d.named(func() {
		os.RemoveAll(path)
		delete(d.dirty, path)
	})
}

// writes notes what a file was before it changes.
func (d *disk) writes(path string) {
	if _, known := d.dirty[path]; known {
		return
	}
	if was, err := os.ReadFile(path); err == nil {
		d.dirty[path] = unflushed{time.Now(), was}
	}
}

func (d *disk) removes(path string) {
	was, err := os.ReadFile(path)
	if err != nil {
		return
	}
	back := d.saved(path, was)
	delete(d.dirty, path)
	d.named(back)
}

// saved brings a file back as it is now, flushed or not.
func (d *disk) saved(path string, b []byte) (back func()) {
	state, known := d.dirty[path]
	return func() {
		d.put(path, b)
		if known {
			d.dirty[path] = state
		}
	}
}

func (d *disk) renames(path, to string) {
	if _, err := os.Lstat(path); err != nil {
		return
	}
	restore := func() {}
	if b, err := os.ReadFile(to); err == nil {
		restore = d.saved(to, b)
	}
	delete(d.dirty, to)
	d.moves(path, to)
	d.named(func() {
		if os.Rename(to, path) == nil {
			d.moves(to, path)
		}
		restore()
	})
}

// moves takes what is known of files along with them.
func (d *disk) moves(from, to string) {
	for _, name := range slices.Collect(maps.Keys(d.dirty)) {
		if within(from, name) {
			d.dirty[to+name[len(from):]] = d.dirty[name]
			delete(d.dirty, name)
		}
	}
}

func (d *disk) put(path string, b []byte) {
	if err := os.WriteFile(path, b, 0o600); err != nil {
		d.h.world.breaks("%s: disk: %v", d.h.name, err)
	}
}

// cutAt plans a loss of power, for the n-th change from now; 0: none.
func (d *disk) cutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = n
}

// powerless lets nothing reach the disk any more.
func (d *disk) powerless() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off, d.cut = true, 0
}

// lose takes what was not flushed: the last changes of names, and of each file
// that changed nothing, a part or all.
func (d *disk) lose() {
	defer watchDisks(watchDisks(nil))
	d.mu.Lock()
	defer d.mu.Unlock()
	kept := d.rng.IntN(len(d.names) + 1)
	for kept < len(d.names) && time.Since(d.names[kept].at) > writeBack {
		kept++
	}
	for _, n := range slices.Backward(d.names[kept:]) {
		n.undo()
	}
	files := slices.Sorted(maps.Keys(d.dirty))
	for _, path := range files {
		d.tear(path, d.dirty[path])
	}
	d.h.world.event("%s: of %d names that were not flushed the disk has %d; nor were %v", d.h.name, len(d.names), kept, files)
	d.names, d.dirty, d.off = nil, map[string]unflushed{}, false
}

func (d *disk) tear(path string, u unflushed) {
	now, err := os.ReadFile(path)
	if err != nil || time.Since(u.since) > writeBack {
		return // a folder, or it was written back
	}
	least := 0
	if bytes.HasPrefix(now, u.was) {
		least = len(u.was) // only what was appended is lost
	}
	n := least + d.rng.IntN(len(now)-least+1)
	switch d.rng.IntN(4) {
	case 0:
		d.put(path, u.was)
	case 1:
		d.put(path, now[:n])
	case 2: // its length came, its end did not
		clear(now[n:])
		d.put(path, now)
	}
}
