package edit

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

func values(t testing.TB, text string) *yaml.Node {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	return doc.Content[0]
}

func TestMergeKeepsTheRest(t *testing.T) {
	tests := map[string]struct{ file, in, set, want string }{
		"json": {
			"app.json", `{"z": 1.50, "server": {"port": 80, "hosts": ["a", "b"]}, "s": "<&>", "big": 12345678901234567890, "e": {}, "n": null}`,
			`{server: {port: 8080, tls: true}, s: "{{.LogDir}}", list: [1, x, 2.5], n: {a: b}, deep: {er: {x: 0x10}}}`,
			`{
  "z": 1.50,
  "server": {
    "port": 8080,
    "hosts": [
      "a",
      "b"
    ],
    "tls": true
  },
  "s": "{{.LogDir}}",
  "big": 12345678901234567890,
  "e": {},
  "n": {
    "a": "b"
  },
  "list": [
    1,
    "x",
    2.5
  ],
  "deep": {
    "er": {
      "x": 16
    }
  }
}
`,
		},
		"yaml": {
			"app.yml", "# top\nserver:\n  port: 80 # the port\n  mode: &m {a: 1}\nother: *m\nlist: [1]\n",
			`{server: {port: 8080}, other: {a: 2}, list: [x], new: "{{.Secrets.A}}"}`,
			"# top\nserver:\n  port: 8080 # the port\n  mode: &m {a: 1}\nother:\n  a: 2\nlist:\n  - \"x\"\nnew: \"{{.Secrets.A}}\"\n",
		},
		"empty yaml": {"a.yaml", "", "{a: 1}", "a: 1\n"},
		"toml": {
			"app.toml", "title = 'x' # gone\nwhen = 1979-05-27T07:32:00Z\nday = 1979-05-27\n[server]\nport = 80\nratio = 1.0\n[[db]]\nname = 'a'\n",
			`{server: {port: 8080}, title: y, more: {x: [1, 2]}}`,
			"day = 1979-05-27\ntitle = \"y\"\nwhen = 1979-05-27T07:32:00Z\n\n[[db]]\nname = \"a\"\n\n[more]\nx = [1, 2]\n\n[server]\nport = 8080\nratio = 1.0\n",
		},
	}
	for name, tt := range tests {
		got, err := Merge(tt.file, []byte(tt.in), values(t, tt.set))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, tt.want)
		}
	}
}

func TestMergeSaysWhatDoesNotFit(t *testing.T) {
	tests := map[string]struct {
		file, in, set, want string
		line                int
	}{
		"value for a map":      {"a.json", "{\n\"server\": {\"port\": 1}}", "{server: x}", "server is a map", 2},
		"map for a value":      {"a.yaml", "a:\n  b: 1\n", "{a: {b: {c: 1}}}", "a.b is a value", 2},
		"map for a value toml": {"a.toml", "a = 1", "{a: {b: 1}}", "a is a value", 0},
		"value for a table":    {"a.toml", "[a.b]\nc = 1", "{a: {b: 1}}", "a.b is a map", 0},
		"empty toml value":     {"a.toml", "", "{a: null}", "no empty values", 0},
		"broken json":          {"a.json", "{\n\"a\": 1,\n}", "{a: 1}", "", 3},
		"json that ends":       {"a.json", "{", "{a: 1}", "ends too early", 1},
		"two of a key":         {"a.json", "{\"a\": 1, \"a\": 2}", "{a: 1}", "twice", 1},
		"json and more":        {"a.json", "{} {}", "{a: 1}", "something follows", 1},
		"json list":            {"a.json", "[]", "{a: 1}", "no object", 1},
		"deep":                 {"a.json", `{"a":` + strings.Repeat("[", 200), "{a: 1}", "too deep", 1},
		"broken yaml":          {"a.yaml", "a: [", "{a: 1}", "", 0},
		"two yaml documents":   {"a.yaml", "a: 1\n---\nb: 1\n", "{a: 1}", "more than one", 2},
		"yaml list":            {"a.yaml", "- a\n", "{a: 1}", "no map", 1},
		"broken toml":          {"a.toml", "\na = ", "{a: 1}", "", 2},
		"unknown":              {"a.ini", "", "{a: 1}", "no JSON, YAML or TOML", 0},
	}
	for name, tt := range tests {
		_, err := Merge(tt.file, []byte(tt.in), values(t, tt.set))
		var at *Error
		if !errors.As(err, &at) || !strings.Contains(at.Why, tt.want) || at.Line != tt.line {
			t.Errorf("%s: %#v, want %q on line %d", name, err, tt.want, tt.line)
		}
	}
}

// Whatever is laid over, the result is JSON, and an empty set changes nothing.
func FuzzMergeJSON(f *testing.F) {
	f.Add(`{"a": {"b": [1, "x", null, true, 1e3]}}`)
	f.Add(`{"\u0000": "\ud800", "a": {}}`)
	f.Fuzz(func(t *testing.T, in string) {
		for _, set := range []string{"{}", "{a: {b: 1}}"} {
			got, err := Merge("a.json", []byte(in), values(t, set))
			if err != nil {
				continue
			}
			var was, is any
			if json.Unmarshal(got, &is) != nil {
				t.Fatalf("%q became %q", in, got)
			}
			if err := json.Unmarshal([]byte(in), &was); err != nil {
				t.Fatalf("%q is no JSON and was taken: %v", in, err)
			}
			a, errA := json.Marshal(was)
			b, errB := json.Marshal(is)
			if set == "{}" && (errA != nil || errB != nil || string(a) != string(b)) {
				t.Fatalf("%q became %q", in, got)
			}
		}
	})
}
