package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/go-shipper/shipper/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestProblems compares all that people are told about bad files. Each case
// is NAME.yaml and NAME.txt in testdata/problems.txtar.
func TestProblems(t *testing.T) {
	golden := filepath.Join("testdata", "problems.txtar")
	archive, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	out := &txtar.Archive{Comment: archive.Comment}
	want := map[string]string{}
	for _, f := range archive.Files {
		want[f.Name] = string(f.Data)
	}
	for _, f := range archive.Files {
		name, ok := strings.CutSuffix(f.Name, ".yaml")
		if !ok {
			continue
		}
		_, err := Parse("shipper.yaml", f.Data)
		got := told(err)
		if got == "" || strings.Count(got, "error: ") != strings.Count(got, "hint: ") {
			t.Errorf("%s: want problems, each with a hint:\n%s", name, got)
		}
		if !*update && got != want[name+".txt"] {
			t.Errorf("%s:\n%swant:\n%s", name, got, want[name+".txt"])
		}
		out.Files = append(out.Files, f, txtar.File{Name: name + ".txt", Data: []byte(got)})
	}
	if *update {
		if err := os.WriteFile(golden, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// told writes problems as the command line does.
func told(err error) string {
	var all Problems
	var one *problem.Error
	if !errors.As(err, &all) && errors.As(err, &one) {
		all = Problems{one}
	}
	var b strings.Builder
	for _, p := range all {
		b.WriteString("error: " + p.Error() + "\n")
		if p.Hint != "" {
			b.WriteString("hint: " + p.Hint + "\n")
		}
	}
	return b.String()
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	text := `service: {name: orders, files: [{from: a.json}, {from: b.json}, {from: sub}, {from: c.tmpl, template: true}]}
traffic: {listen: ":80"}
build: {prebuilt: out, goreleaser: rel.yaml}
environments: {prod: {hosts: [web1], transport: {user: u, password: "${env:P}"}}}
`
	for _, name := range []string{"b.json", filepath.Join("sub", "x")} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "c.tmpl"), []byte("port={{.Prot}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(filepath.Join(dir, "shipper.yaml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	target, _ := f.Target("")
	got := told(target.CheckFiles())
	for _, want := range []string{"yaml:1:40: `service.files[0].from`", "sub is no file", "out does not exist", "rel.yaml does not exist", "unknown template {{.Prot}}"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "b.json") {
		t.Errorf("b.json is there:\n%s", got)
	}
}
