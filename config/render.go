package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/go-shipper/shipper/config/edit"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// maxFile bounds a file that is rendered, in bytes: it becomes part of the
// revision.
const maxFile = 1 << 20

// Render makes a file of the revision for this environment: variables are
// filled in and values laid over it. Words of the host and of its secrets
// stay; one that nobody can fill in is an error with file and line.
func (t *Target) Render(f FileRef) ([]byte, error) {
	info, err := os.Stat(f.From)
	if err == nil && info.Size() > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes", f.From, maxFile)
	}
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(f.From)
	if err != nil {
		return nil, err
	}
	known := t.Service.varWords()
	text := release.FillSome(f.To, string(data), known)
	if err := release.CheckTemplate(text, t.Service.secretWords()...); err != nil {
		return nil, t.misfit(f, err)
	}
	if f.Set.node == nil {
		return []byte(text), nil
	}
	out, err := edit.Merge(f.To, []byte(text), f.Set.filled(known))
	if err != nil {
		return nil, t.misfit(f, err)
	}
	return bareNumbers(out), nil
}

// bareNumbers lets the port be a number where it stands alone.
func bareNumbers(out []byte) []byte {
	return []byte(strings.ReplaceAll(string(out), `"{{.Port}}"`, "{{.Port}}"))
}

// misfit names the file and the line.
func (t *Target) misfit(f FileRef, err error) error {
	at, hint := f.From, "correct the file, or `set`"
	if rel, relErr := filepath.Rel(filepath.Dir(t.Path), at); relErr == nil {
		at = rel
	}
	line := 0
	var word *release.TemplateError
	var merged *edit.Error
	switch {
	case errors.As(err, &word):
		line, hint = word.Line, wordsHint(append(slices.Sorted(maps.Keys(t.Service.varWords())), t.Service.secretWords()...))
	case errors.As(err, &merged):
		line = merged.Line
	}
	if line > 0 {
		at = fmt.Sprintf("%s:%d", at, line)
	}
	return &problem.Error{Kind: problem.Usage, What: at, Hint: hint, Err: err}
}

func hintOf(err error) string {
	if hint := problem.HintOf(err); hint != "" {
		return hint
	}
	return mendPath
}

func wordsHint(more []string) string {
	return "write one of {{" + strings.Join(append(release.TemplateWords(), more...), "}}, {{") + "}}"
}

func (s *Service) varWords() map[string]string {
	known := map[string]string{}
	for name, value := range s.Vars {
		known[release.VarsWord+name] = value
	}
	return known
}

func (s *Service) secretWords() []string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		words = append(words, release.SecretsWord+name)
	}
	return words
}

// filled copies the values, with the variables filled in.
func (v Values) filled(known map[string]string) *yaml.Node {
	var fill func(n *yaml.Node) *yaml.Node
	fill = func(n *yaml.Node) *yaml.Node {
		out := *n
		out.Content = nil
		if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
			out.Value = release.FillSome("", n.Value, known)
		}
		for _, c := range n.Content {
			out.Content = append(out.Content, fill(c))
		}
		return &out
	}
	return fill(v.node)
}

// texts are all values that are text.
func (v Values) texts() []string {
	var out []string
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
			out = append(out, n.Value)
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	if v.node != nil {
		walk(v.node)
	}
	return out
}

// set looks at what is to be laid over a file; the file itself is read later.
func (c *checker) set(at string, f FileRef) {
	if f.Set.node != nil && !edit.Knows(f.To) {
		c.problem(at, "name it .json, .yaml, .yml or .toml, or use template: true", "`%s`: %s is no JSON, YAML or TOML by its name", at, f.To)
	}
	known := c.t.Service.varWords()
	for _, text := range f.Set.texts() {
		if hasRef(text) {
			c.problem(at, "name it under service.secrets and write {{.Secrets.NAME}} here", "`%s`: a secret must not stand here", at)
			return
		}
		c.template(at, text, append(slices.Sorted(maps.Keys(known)), c.t.Service.secretWords()...)...)
	}
}

// checkBundled keeps the bundle the same for all environments: files that
// travel in it may not differ between them.
func (f *File) checkBundled(problems *Problems) {
	bundled := func(env string) []FileRef {
		t := f.targets[env]
		return slices.DeleteFunc(slices.Clone(t.Service.Files), FileRef.Rendered)
	}
	first := ""
	for _, env := range f.Names() { // rather one that overrides nothing
		if first == "" || f.Environments[first].Service.Files != nil && f.Environments[env].Service.Files == nil {
			first = env
		}
	}
	same := func(a, b FileRef) bool { return a.From == b.From && a.To == b.To }
	for _, env := range f.Names() {
		if slices.EqualFunc(bundled(first), bundled(env), same) {
			continue
		}
		d := &decoder{at: f.targets[env].at, problems: problems}
		d.problem("service.files", "add template: true or set: {…} to what differs: it is rendered at the deploy and is no part of the bundle",
			"`service.files`: the bundle of %s would hold other files than that of %s", env, first)
	}
}
