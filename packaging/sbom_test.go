package packaging

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/go-shipper/shipper/config"
)

// schema is CycloneDX's own, version 1.6.
func schema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	for name, id := range map[string]string{
		"bom-1.6": "http://cyclonedx.org/schema/bom-1.6.schema.json", "spdx": "http://cyclonedx.org/schema/spdx.schema.json",
		"jsf-0.82": "http://cyclonedx.org/schema/jsf-0.82.schema.json",
	} {
		f, err := os.Open(filepath.Join("testdata", "cyclonedx", name+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		doc, err := jsonschema.UnmarshalJSON(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{id, strings.Replace(id, ".schema.json", ".SNAPSHOT.schema.json", 1)} {
			if err := c.AddResource(at, doc); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func validates(t *testing.T, s *jsonschema.Schema, text []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(doc)
}

type bom struct {
	SerialNumber string
	Metadata     struct {
		Timestamp string
		Component struct {
			Name, Version, Purl string
			Hashes              []struct{ Alg, Content string }
		}
	}
	Components   []struct{ Name, Version, Purl string }
	Dependencies []struct {
		Ref       string
		DependsOn []string
	}
}

func TestSBOMOfEveryExecutable(t *testing.T) {
	dir := newRepo(t, map[string]string{
		"dep/go.mod": "module example.test/Dep\n\ngo 1.26\n", "dep/dep.go": "package dep\n\nconst Word = \"dep\"\n",
		"go.mod":  "module example.test/hello\n\ngo 1.26\n\nrequire example.test/Dep v1.2.3\n\nreplace example.test/Dep v1.2.3 => ./dep\n",
		"main.go": "package main\n\nimport dep \"example.test/Dep\"\n\nvar version, commit string\n\nfunc main() { println(version, commit, dep.Word) }\n",
	})
	git(t, dir, "tag", "v1.2.3")
	path, m := pack(t, dir, config.Build{Goreleaser: "none"})
	b, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := schema(t)
	serials := map[string]bool{}
	for _, target := range m.Targets {
		text, err := readContent(b, target.SBOM.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if err := validates(t, s, text); err != nil {
			t.Errorf("%s: %v\n%s", target.Name(), err, text)
		}
		var got bom
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		c := got.Metadata.Component
		if c.Name != "hello" || c.Version != "1.2.3" || c.Purl != "pkg:golang/example.test/hello@1.2.3" || c.Hashes[0].Content != string(executableOf(target).SHA256) {
			t.Errorf("%s: component %+v", target.Name(), c)
		}
		if got.Metadata.Timestamp != "2026-03-04T05:06:07Z" || serials[got.SerialNumber] {
			t.Errorf("%s: %+v", target.Name(), got)
		}
		serials[got.SerialNumber] = true
		if len(got.Components) != 2 || got.Components[1].Name != "std" || len(got.Dependencies) != 3 || len(got.Dependencies[0].DependsOn) != 2 {
			t.Errorf("%s: components %+v, dependencies %+v", target.Name(), got.Components, got.Dependencies)
		}
	}
}

// The test must be able to fail.
func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	for _, text := range []string{`{}`, `{"bomFormat":"CycloneDX","specVersion":"1.6","version":"one"}`, `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"type":"nonsense","name":"x"}]}`} {
		if validates(t, s, []byte(text)) == nil {
			t.Errorf("accepted %s", text)
		}
	}
}

func TestSBOMOfOtherPrograms(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "app.exe")
	write(t, exe, "MZ not made by Go")
	m, _ := sample(map[string]string{"orders.exe": "MZ"})
	text, err := sbom(m, canonical(m).Targets[0], exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := validates(t, schema(t), text); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}
