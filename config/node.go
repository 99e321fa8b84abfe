package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds on what is read: a configuration is small, whoever wrote it.
const (
	maxBytes = 1 << 20
	maxNodes = 50_000
	maxDepth = 32
)

// place is a line and a column, from 1.
type place struct{ line, column int }

// positions maps the path of every value ("hosts[0].address") to its place.
type positions struct {
	file   string
	places map[string]place
}

// find gives file:line:column of path, or of the nearest thing around it.
func (p positions) find(path string) string {
	for {
		if at, ok := p.places[path]; ok {
			return fmt.Sprintf("%s:%d:%d", p.file, at.line, at.column)
		}
		if path == "" {
			return p.file + ":1:1"
		}
		path = parent(path)
	}
}

func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

// within reports whether path is outer or lies inside it.
func within(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}

// parse reads one YAML document into nodes, aliases written out. The error
// carries the place.
func parse(data []byte) (*yaml.Node, place, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, place{1, 1}, errors.New("the file is empty")
		}
		at, why := syntax(data, err)
		return nil, at, why
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, place{second.Line, 1}, errors.New("more than one YAML document")
	} else if !errors.Is(err, io.EOF) {
		at, why := syntax(data, err)
		return nil, at, why
	}
	budget := maxNodes
	root, err := expand(doc.Content[0], maxDepth, &budget)
	return root, place{1, 1}, err
}

// syntax finds the place of a parser's error; the parser knows the line at
// best, the column is that of the first character there.
func syntax(data []byte, err error) (place, error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 0
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, why, ok := strings.Cut(rest, ": "); ok {
			line, _ = strconv.Atoi(number) // 0 on nonsense, handled below
			text = why
		}
	}
	lines := strings.Split(string(data), "\n")
	if line == 0 {
		line = suspect(lines, text)
	}
	if line < 1 || line > len(lines) {
		return place{1, 1}, errors.New(text)
	}
	content := lines[line-1]
	column := len(content) - len(strings.TrimLeft(content, " "))
	return place{line, column + 1}, errors.New(text)
}

// suspect guesses the line of an error that names none.
func suspect(lines []string, text string) int {
	for i, line := range lines {
		trimmed := strings.TrimLeft(line, " ")
		if strings.HasPrefix(trimmed, "\t") && strings.Contains(text, "cannot start any token") {
			return i + 1
		}
	}
	if strings.Contains(text, "end of stream") {
		return len(lines)
	}
	return 1
}

// expand copies the tree with aliases written out, within bounds: aliases of
// aliases grow exponentially, and an anchor may hold itself.
func expand(n *yaml.Node, depth int, budget *int) (*yaml.Node, error) {
	*budget--
	if *budget < 0 || depth == 0 {
		return nil, fmt.Errorf("too large or too deep: at most %d values, %d levels", maxNodes, maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		return expand(n.Alias, depth-1, budget)
	}
	out := *n
	out.Content = nil
	for _, child := range n.Content {
		c, err := expand(child, depth-1, budget)
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, c)
	}
	return &out, nil
}

// child returns the value of key in a mapping, nil if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// merge lays over on base: maps merge, everything else replaces; an empty
// value says nothing.
func merge(base, over *yaml.Node) *yaml.Node {
	switch {
	case over == nil || base != nil && isNull(over):
		return base
	case base == nil || base.Kind != yaml.MappingNode || over.Kind != yaml.MappingNode:
		return over
	}
	out := *base
	out.Content = append([]*yaml.Node(nil), base.Content...)
	for i := 0; i+1 < len(over.Content); i += 2 {
		key, value := over.Content[i], over.Content[i+1]
		set(&out, key, merge(child(base, key.Value), value))
	}
	return &out
}

func set(m *yaml.Node, key, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key.Value {
			m.Content[i], m.Content[i+1] = key, value
			return
		}
	}
	m.Content = append(m.Content, key, value)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
