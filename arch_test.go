// Package shipper_test holds the rules of the house: which way imports point,
// what packages may be called, how long a file may get, and that the
// configurations which people copy are valid.
package shipper_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
)

const module = "github.com/go-shipper/shipper/"

// leaves are words that every room but the engine may use.
var leaves = []string{"release", "problem", "journal"}

// allowed says which rooms of this module a room may import, itself and what
// lies below it apart. A package's room is the longest name here that its
// path begins with; only cmd may import everything.
var allowed = map[string][]string{
	"release":     {},
	"problem":     {},
	"journal":     {"release"},
	"delta":       {},
	"rollout":     {"release"}, // pure
	"config":      leaves,
	"packaging":   append([]string{"config"}, leaves...),
	"transport":   leaves,
	"pipeline":    append([]string{"config", "delta", "host/rpc", "packaging", "rollout", "transport"}, leaves...),
	"report":      append([]string{"rollout"}, leaves...),
	"host":        append([]string{"delta"}, leaves...),
	"host/rpc":    leaves,
	"host/helper": append([]string{"transport/bootstrap"}, leaves...), // the controller's side of the helper
	"service":     leaves,
	"examples":    {"service"}, // a user's code
	"lab":         append([]string{"examples"}, leaves...),
	// benches set the whole against its peers, so they know all of it
	"lab/bench": append([]string{"examples", "lab", "host", "pipeline", "packaging", "transport", "config", "rollout", "delta"}, leaves...),
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

// packages lists this module as it is built for goos.
func packages(t *testing.T, goos string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	var all []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, module) {
			all = append(all, p)
		}
	}
}

func roomOf(importPath string) string {
	name := strings.TrimPrefix(importPath, module)
	for room := name; room != "."; room = path.Dir(room) {
		if _, ok := allowed[room]; ok {
			return room
		}
	}
	return strings.SplitN(name, "/", 2)[0]
}

// within reports whether the package lies in one of the rooms, or below it.
func within(importPath string, rooms []string) bool {
	name := strings.TrimPrefix(importPath, module)
	return slices.ContainsFunc(rooms, func(room string) bool {
		return name == room || strings.HasPrefix(name, room+"/")
	})
}

func TestImportsPointOneWay(t *testing.T) {
	for _, goos := range []string{"linux", "windows"} {
		for _, p := range packages(t, goos) {
			room := roomOf(p.ImportPath)
			rules, listed := allowed[room]
			if !listed && room != "cmd" {
				t.Errorf("%s is in no room: add it to the rules", p.ImportPath)
				continue
			}
			for _, i := range p.Imports {
				switch {
				case !strings.HasPrefix(i, module):
				case within(i, []string{"cmd"}):
					t.Errorf("%s: %s imports %s: commands are imported by nobody", goos, p.ImportPath, i)
				case room != "cmd" && !within(i, append([]string{room}, rules...)):
					t.Errorf("%s: %s imports %s: %s may import %s only", goos, p.ImportPath, i, room, strings.Join(rules, ", "))
				}
			}
		}
	}
}

// The engine is pure: what it cannot import it cannot do.
func TestEngineKnowsNoWorld(t *testing.T) {
	for _, p := range packages(t, "linux") {
		if p.ImportPath != module+"rollout" {
			continue
		}
		for _, i := range p.Imports {
			if i == "os" || i == "net" || strings.HasPrefix(i, "net/") || i == "context" || i == "math/rand" || i == "math/rand/v2" {
				t.Errorf("%s imports %s", p.ImportPath, i)
			}
		}
		return
	}
	t.Error("there is no package rollout")
}

// The kit is for users' services: what it needs is not linked into our own
// programs.
func TestProgramsDoNotLinkTheKit(t *testing.T) {
	for _, goos := range []string{"linux", "windows"} {
		cmd := exec.Command("go", "list", "-deps", "./cmd/...")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		for _, foreign := range []string{module + "service", "github.com/prometheus/", "github.com/golang-jwt/", "github.com/fsnotify/"} {
			if bytes.Contains(out, []byte(foreign)) {
				t.Errorf("%s: the commands link %s", goos, foreign)
			}
		}
	}
}

// Adapters never import each other.
func TestTransportsAreStrangers(t *testing.T) {
	adapters := []string{"transport/winrm", "transport/local"}
	for _, p := range packages(t, "linux") {
		for _, a := range adapters {
			others := slices.DeleteFunc(slices.Clone(adapters), func(s string) bool { return s == a })
			for _, i := range p.Imports {
				if within(p.ImportPath, []string{a}) && within(i, others) {
					t.Errorf("%s imports %s", p.ImportPath, i)
				}
			}
		}
	}
}

func TestNames(t *testing.T) {
	for _, p := range packages(t, "linux") {
		for part := range strings.SplitSeq(strings.TrimPrefix(p.ImportPath, module), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "types", "misc", "base"}, part) {
				t.Errorf("%s: %q says nothing about what is inside", p.ImportPath, part)
			}
		}
	}
}

// sources calls visit for each Go file of the module.
func sources(t *testing.T, visit func(name string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "dist") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err == nil {
			visit(name, text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

const maxLines = 500

func TestFilesStayShort(t *testing.T) {
	seen := 0
	sources(t, func(name string, text []byte) {
		seen++
		if n := bytes.Count(text, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d: split it by what it is about", name, n, maxLines)
		}
	})
	if seen < 50 {
		t.Errorf("looked at %d files only", seen)
	}
}

func TestMainStaysTiny(t *testing.T) {
	text, err := os.ReadFile("cmd/shipper/main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n >= 20 {
		t.Errorf("cmd/shipper/main.go has %d lines, wanted are fewer than 20", n)
	}
}

func TestConfigurationsToCopyAreValid(t *testing.T) {
	for _, name := range []string{"examples/orders/shipper.yaml", ".github/testdata/shipper.yaml"} {
		f, err := config.Load(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, env := range f.Names() {
			if _, err := f.Target(env); err != nil {
				t.Errorf("%s: environment %s: %v", name, env, err)
			}
		}
	}
}
