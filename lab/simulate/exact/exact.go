// Package exact takes chance out of a program that simulates: it changes a few
// lines of Go's runtime while the program is built (go build -overlay), so that
// inside a testing/synctest bubble nothing depends on anything but the bubble's
// own clock; and a few of package os, so that the simulation learns what is
// flushed. docs/SIMULATION.md tells which lines, and why these are all.
package exact

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// change is one place in the source of Go's library.
type change struct{ file, old, new string }

// behind inserts text.
func behind(file, old, text string) change { return change{file, old, old + text} }

// chances are changes of the runtime and of context: sysmon takes no processor away, neither from a goroutine that is
// slow nor from one in a system call; what select, maps and timers draw comes
// from the bubble's time and how often was drawn at that instant; the time that
// makes a mutex unfair stands still; and of a context's children, which lie in a
// map by their addresses, the eldest is cancelled first.
func chances() []change {
	return []change{
		behind("runtime/proc.go", "func retake(now int64) uint32 {\n", "\tif simulated {\n\t\treturn 0\n\t}\n"),
		behind("runtime/synctest.go", "\tgp.bubble = bubble\n\tdefer func() {\n", "\t\tsimulated = false\n"),
		behind("runtime/synctest.go", "\tgp.bubble = bubble\n", "\tsimulated, simulatedDraws, simulatedChoices = true, 0, 0\n"),
		behind("runtime/synctest.go", "\t\tbubble.now = next\n", "\t\tsimulatedDraws, simulatedChoices = 0, 0\n"),
		behind("runtime/rand.go", "readTimeRandom(seed[:])\n\t\t}\n\t}\n", "\tclear(seed[:])\n"),
		behind("runtime/rand.go", "func rand() uint64 {\n", "\tif b := getg().bubble; b != nil {\n\t\treturn simulatedDraw(b)\n\t}\n"),
		behind("runtime/rand.go", "func maps_rand() uint64 {\n", "\tif b := getg().bubble; b != nil {\n\t\treturn simulatedMix(b.now)\n\t}\n"),
		behind("runtime/sema.go", "func internal_sync_nanotime() int64 {\n", "\tif simulated {\n\t\treturn 0\n\t}\n"),
		{"runtime/select.go", "j := cheaprandn(uint32(norder + 1))", "j := simulatedChoice(uint32(norder + 1))"},
		{"runtime/time.go", "t.rand = cheaprand()", "t.rand = simulatedChoice(1 << 31)"},
		{"context/context.go", "children map[canceler]struct{} //", "children map[canceler]int64 //"},
		{"context/context.go", "make(map[canceler]struct{})", "make(map[canceler]int64)"},
		{"context/context.go", "p.children[child] = struct{}{}", "p.children[child] = simulatedBirths.Add(1)"},
		{"context/context.go", "for child := range c.children {", "for _, child := range simulatedOrder(c.children) {"},
	}
}

// disks are changes of os: who watches is asked before a file or folder changes.
func disks() []change {
	asked := func(file, function, what, none string) change {
		return behind("os/"+file, "func "+function+" {\n", "\tif err := "+what+"; err != nil {\n\t\treturn "+none+"err\n\t}\n")
	}
	return []change{
		asked("file.go", "(f *File) Write(b []byte) (n int, err error)", `simulatedFile("write", f)`, "0, "),
		asked("file.go", "(f *File) WriteAt(b []byte, off int64) (n int, err error)", `simulatedFile("write", f)`, "0, "),
		asked("file.go", "(f *File) ReadFrom(r io.Reader) (n int64, err error)", `simulatedFile("write", f)`, "0, "),
		asked("file_posix.go", "(f *File) Truncate(size int64) error", `simulatedFile("write", f)`, ""),
		asked("file_posix.go", "(f *File) Sync() error", `simulatedFile("sync", f)`, ""),
		asked("file.go", "OpenFile(name string, flag int, perm FileMode) (*File, error)", `simulatedOpen(name, flag)`, "nil, "),
		asked("file.go", "Mkdir(name string, perm FileMode) error", `simulatedChange("mkdir", name, "")`, ""),
		asked("file.go", "Rename(oldpath, newpath string) error", `simulatedChange("rename", oldpath, newpath)`, ""),
		asked("file_unix.go", "Remove(name string) error", `simulatedChange("remove", name, "")`, ""),
		asked("path.go", "RemoveAll(path string) error", `simulatedChange("removeall", path, "")`, ""),
	}
}

// additions are the state behind the changes, by their files; only one bubble
// may live at a time.
func additions() map[string]string {
	return map[string]string{"runtime/rand.go": draws, "os/file.go": asks, "context/context.go": births}
}

const draws = `
var (
	simulated        bool  // a bubble runs
	simulatedDraws   int64 // at the bubble's instant
	simulatedChoices int64 // which a draw does not shift: filling a cache draws, too
)

//go:nosplit
func simulatedDraw(b *synctestBubble) uint64 {
	simulatedDraws++
	return simulatedMix(b.now + simulatedDraws<<32)
}

//go:nosplit
func simulatedMix(n int64) uint64 {
	x := uint64(n) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// simulatedChoice is a number below n.
func simulatedChoice(n uint32) uint32 {
	if b := getg().bubble; b != nil {
		simulatedChoices++
		return uint32(uint64(uint32(simulatedMix(b.now+simulatedChoices<<32))) * uint64(n) >> 32)
	}
	return cheaprandn(n)
}
`

const births = `
var simulatedBirths atomic.Int64

func simulatedOrder(children map[canceler]int64) []canceler {
	var all []canceler
	for child := range children {
		i := len(all)
		for all = append(all, child); i > 0 && children[all[i-1]] > children[child]; i-- {
			all[i] = all[i-1]
		}
		all[i] = child
	}
	return all
}
`

const asks = `
// SimulatedDisk watches; nil: nobody does.
var SimulatedDisk func(op, path, to string) error

func simulatedChange(op, path, to string) error {
	if SimulatedDisk == nil {
		return nil
	}
	return SimulatedDisk(op, path, to)
}

func simulatedFile(op string, f *File) error {
	if f == nil || f.file == nil {
		return nil
	}
	return simulatedChange(op, f.name, "")
}

func simulatedOpen(name string, flag int) error {
	if flag&O_CREATE != 0 {
		if err := simulatedChange("create", name, ""); err != nil {
			return err
		}
	}
	if flag&O_TRUNC == 0 {
		return nil
	}
	return simulatedChange("write", name, "")
}
`

// watching is in the place of a file of the simulation which has no such os.
const watching = `package simulate

import "os"

type watcher = func(op, path, to string) error

func watchDisks(w watcher) (before watcher) {
	before, os.SimulatedDisk = os.SimulatedDisk, w
	return before
}
`

// Overlay writes the changed files and the list that go build -overlay takes
// into dir, and returns the list's path. Other files may be replaced as well:
// more maps a path in the source to what is there instead.
func Overlay(dir string, more map[string]string) (string, error) {
	files, err := changed()
	if err != nil {
		return "", err
	}
	for path, text := range more {
		files[path] = text
	}
	replace, n := map[string]string{}, 0
	for path, text := range files {
		n++
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d-%s", n, filepath.Base(path)))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	list := filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, b, 0o600)
}

// changed are the changed files by their paths.
func changed() (map[string]string, error) {
	out, err := exec.Command("go", "env", "GOROOT", "GOMOD").Output()
	if err != nil {
		return nil, fmt.Errorf("find Go's source: %w", err)
	}
	root, module, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	files := map[string]string{}
	for _, c := range append(chances(), disks()...) {
		path := filepath.Join(root, "src", filepath.FromSlash(c.file))
		if files[path] == "" {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read Go's source: %w", err)
			}
			files[path] = string(b)
		}
		if strings.Count(files[path], c.old) != 1 {
			return nil, fmt.Errorf("change Go's source: %s has not exactly one %q: this Go is not known", c.file, strings.TrimSpace(c.old))
		}
		files[path] = strings.Replace(files[path], c.old, c.new, 1)
	}
	for file, text := range additions() {
		files[filepath.Join(root, "src", filepath.FromSlash(file))] += text
	}
	files[filepath.Join(filepath.Dir(module), "lab", "simulate", "chance_test.go")] = watching
	return files, nil
}
