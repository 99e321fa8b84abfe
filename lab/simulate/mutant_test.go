package simulate

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-shipper/shipper/lab/simulate/exact"
)

var (
	mutantSeeds = flag.Int("mutants", 0, "plant every bug and simulate at most so many seeds to catch it, after those that are known to")
	onlyMutant  = flag.String("mutant", "", "plant only the bug of this name")
)

// bugOf names the planted bug that a program has.
const bugOf = "SHIPPER_SIMULATE_BUG"

// TestMutantsAreCaught shows that the simulation can fail. make simulate asks
// for it; otherwise only the lines have to be there.
func TestMutantsAreCaught(t *testing.T) {
	changed := planted(t)
	if *mutantSeeds == 0 {
		t.Skip("bugs are planted by make simulate")
	}
	bin := buildWith(t, changed)
	var work sync.WaitGroup
	var mu sync.Mutex
	tried, caught := 0, 0
	turn := make(chan struct{}, runtime.NumCPU())
	for _, m := range mutants() {
		if *onlyMutant != "" && m.name != *onlyMutant {
			continue
		}
		tried++
		work.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			how := m.caught(bin, *mutantSeeds)
			mu.Lock()
			defer mu.Unlock()
			if how == "" {
				t.Errorf("%s (%s): not caught by %d seeds", m.name, m.promise, *mutantSeeds)
				return
			}
			caught++
			t.Logf("%s (%s): %s", m.name, m.promise, how)
		})
	}
	work.Wait()
	tell(t, map[string]any{"mutants": tried, "mutants_caught": caught})
}

// planted are the changed files by their paths: every bug is in them, each
// behind its name.
func planted(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, m := range mutants() {
		for _, e := range m.edits {
			path, err := filepath.Abs(filepath.Join("..", "..", filepath.FromSlash(e.file)))
			if err != nil {
				t.Fatal(err)
			}
			if files[path] == "" {
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				files[path] = strings.ReplaceAll(string(b), "\r\n", "\n")
			}
			if strings.Count(files[path], e.old) == 0 {
				t.Fatalf("%s: %s does not say %q any more", m.name, e.file, e.old)
			}
			with := strings.ReplaceAll(e.new, "$bug", fmt.Sprintf("planted(%q)", m.name))
			files[path] = strings.Replace(files[path], e.old, with, 1)
			files[filepath.Join(filepath.Dir(path), "planted.go")] = fmt.Sprintf(
				"package %s\n\nimport \"os\"\n\nvar bug = os.Getenv(%q)\n\nfunc planted(name string) bool { return bug == name }\n",
				packageOf(e.file), bugOf)
		}
	}
	return files
}

func packageOf(file string) string { return path.Base(path.Dir(file)) }

// buildWith makes a simulation of changed sources that replays exactly.
func buildWith(t *testing.T, changed map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	overlay, err := exact.Overlay(dir, changed)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "simulate.test")
	if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

var complaint = regexp.MustCompile(`seed (\d+): (.*)`)

// caught says at which seed the bug fell, and why; "" if it did not.
func (m mutant) caught(bin string, seeds int) string {
	known := make([]string, len(m.seeds))
	for i, s := range m.seeds {
		known[i] = strconv.FormatUint(s, 10)
	}
	for _, which := range [][]string{{"-list", strings.Join(known, ",")}, {"-seeds", strconv.Itoa(seeds)}} {
		if which[1] == "" || which[1] == "0" {
			continue
		}
		out, err := runWith(bin, m.name, which...)
		found := complaint.FindSubmatch(out)
		if err == nil || found == nil {
			continue
		}
		if _, err := runWith(bin, "", "-list", string(found[1])); err != nil {
			return "" // the seed fails without the bug as well
		}
		return fmt.Sprintf("seed %s, %.160s", found[1], found[2])
	}
	return ""
}

func runWith(bin, bug string, args ...string) ([]byte, error) {
	run := exec.Command(bin, append([]string{"-test.run", "^TestSimulate$", "-test.timeout", "30m", "-first"}, args...)...)
	run.Env = append(os.Environ(), bugOf+"="+bug, "SHIPPER_SIMULATE_SUMMARY=")
	return run.CombinedOutput()
}
