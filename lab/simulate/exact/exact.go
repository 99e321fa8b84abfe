// Package exact takes chance out of a program that simulates: it changes a few
// lines of Go's runtime while the program is built (go build -overlay), so that
// inside a testing/synctest bubble nothing depends on anything but the bubble's
// own clock. docs/SIMULATION.md tells which lines, and why these are all.
package exact

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// change is one place in the runtime's source.
type change struct{ file, old, new string }

// behind inserts text.
func behind(file, old, text string) change { return change{file, old, old + text} }

// changes: sysmon takes no processor away, neither from a goroutine that is
// slow nor from one in a system call; what select, maps and timers draw comes
// from the bubble's time and how often was drawn at that instant; the time that
// makes a mutex unfair stands still.
func changes() []change {
	return []change{
		behind("proc.go", "func retake(now int64) uint32 {\n", "\tif simulated {\n\t\treturn 0\n\t}\n"),
		behind("synctest.go", "\tgp.bubble = bubble\n\tdefer func() {\n", "\t\tsimulated = false\n"),
		behind("synctest.go", "\tgp.bubble = bubble\n", "\tsimulated, simulatedDraws = true, 0\n"),
		behind("synctest.go", "\t\tbubble.now = next\n", "\t\tsimulatedDraws = 0\n"),
		behind("rand.go", "readTimeRandom(seed[:])\n\t\t}\n\t}\n", "\tclear(seed[:])\n"),
		behind("rand.go", "func rand() uint64 {\n", "\tif b := getg().bubble; b != nil {\n\t\treturn simulatedDraw(b)\n\t}\n"),
		behind("rand.go", "func maps_rand() uint64 {\n", "\tif b := getg().bubble; b != nil {\n\t\treturn simulatedMix(b.now)\n\t}\n"),
		behind("sema.go", "func internal_sync_nanotime() int64 {\n", "\tif simulated {\n\t\treturn 0\n\t}\n"),
		{"select.go", "j := cheaprandn(uint32(norder + 1))", "j := simulatedChoice(uint32(norder + 1))"},
		{"time.go", "t.rand = cheaprand()", "t.rand = simulatedChoice(1 << 31)"},
	}
}

// addition is the state behind the changes; only one bubble may live at a time.
const addition = `
var (
	simulated      bool  // a bubble runs
	simulatedDraws int64 // at the bubble's instant
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
		return uint32(uint64(uint32(simulatedDraw(b))) * uint64(n) >> 32)
	}
	return cheaprandn(n)
}
`

// Overlay writes the changed files and the list that go build -overlay takes
// into dir, and returns the list's path. Other files may be replaced as well:
// more maps a path in the source to what is there instead.
func Overlay(dir string, more map[string]string) (string, error) {
	files, err := runtimeFiles()
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

// runtimeFiles are the changed files by their paths.
func runtimeFiles() (map[string]string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find Go's source: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "src", "runtime")
	files := map[string]string{}
	for _, c := range changes() {
		path := filepath.Join(dir, c.file)
		if files[path] == "" {
			b, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read Go's runtime: %w", err)
			}
			files[path] = string(b)
		}
		if strings.Count(files[path], c.old) != 1 {
			return nil, fmt.Errorf("change Go's runtime: %s has not exactly one %q: this Go is not known", c.file, strings.TrimSpace(c.old))
		}
		files[path] = strings.Replace(files[path], c.old, c.new, 1)
	}
	files[filepath.Join(dir, "rand.go")] += addition
	return files, nil
}
