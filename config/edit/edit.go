// Package edit lays values over a JSON, YAML or TOML file and keeps the rest
// of it: what an environment changes in the settings of a program.
package edit

import (
	"fmt"
	"path"

	"go.yaml.in/yaml/v3"
)

// Error says what does not fit, and where in the file; Line is 0 where the
// format does not tell.
type Error struct {
	Line int
	Why  string
}

func (e *Error) Error() string { return e.Why }

// Knows reports whether Merge can edit a file of that name.
func Knows(file string) bool { return editors()[path.Ext(file)] != nil }

// Merge lays set, a map of values, over the content of file: maps merge,
// everything else replaces. A value may not take the place of a map, nor a map
// that of a value: that is a misspelt path in nearly all cases.
func Merge(file string, content []byte, set *yaml.Node) ([]byte, error) {
	edit := editors()[path.Ext(file)]
	if edit == nil {
		return nil, &Error{Why: fmt.Sprintf("%s is no JSON, YAML or TOML by its name", path.Base(file))}
	}
	return edit(content, set)
}

func editors() map[string]func([]byte, *yaml.Node) ([]byte, error) {
	return map[string]func([]byte, *yaml.Node) ([]byte, error){
		".json": mergeJSON, ".yaml": mergeYAML, ".yml": mergeYAML, ".toml": mergeTOML,
	}
}

// merge lays set over base, both maps; at is the path of base.
func merge(base, set *yaml.Node, at string) error {
	for i := 0; i+1 < len(set.Content); i += 2 {
		key, value := set.Content[i], set.Content[i+1]
		there := index(base, key.Value)
		if there < 0 {
			added := clone(key)
			added.Style = 0
			base.Content = append(base.Content, added, clone(value))

			continue
		}
		old := base.Content[there]
		if old.Kind == yaml.AliasNode {
			old = clone(old.Alias)
			old.Anchor = ""
			base.Content[there] = old
		}
		name := at + key.Value
		switch {
		case old.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode:
			if err := merge(old, value, name+"."); err != nil {
				return err
			}
		case old.Kind == yaml.MappingNode && !isNull(value):
			return &Error{old.Line, fmt.Sprintf("%s is a map, and `set` has a value for it", name)}
		case value.Kind == yaml.MappingNode && !isNull(old):
			return &Error{old.Line, fmt.Sprintf("%s is a value, and `set` has a map for it", name)}
		default:
			base.Content[there] = comments(clone(value), old)
		}
	}
	return nil
}

func index(m *yaml.Node, key string) int {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return i + 1
		}
	}
	return -1
}

// comments keeps those of the value that was replaced.
func comments(n, old *yaml.Node) *yaml.Node {
	n.HeadComment, n.LineComment, n.FootComment = old.HeadComment, old.LineComment, old.FootComment
	return n
}

// clone copies a node without its comments and its style: those belong to
// shipper.yaml.
func clone(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return clone(n.Alias)
	}
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Line: n.Line}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!str" {
		out.Style = yaml.DoubleQuotedStyle // the host escapes for it
	}
	for i, c := range n.Content {
		child := clone(c)
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			child.Style = 0
		}
		out.Content = append(out.Content, child)
	}
	return out
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
