package edit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mergeJSON keeps the order of keys and the writing of numbers; it writes one
// value a line.
func mergeJSON(content []byte, set *yaml.Node) ([]byte, error) {
	r := &jsonReader{dec: json.NewDecoder(bytes.NewReader(content)), content: content}
	r.dec.UseNumber()
	root, err := r.value()
	if err == nil && root.Kind != yaml.MappingNode {
		err = errors.New("it is no object at the top")
	}
	if err == nil {
		if _, more := r.dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return nil, &Error{r.line(), err.Error()}
	}
	if err := merge(root, set, ""); err != nil {
		return nil, err
	}
	var out strings.Builder
	if err := writeJSON(&out, root, "\n"); err != nil {
		return nil, &Error{Why: err.Error()}
	}
	out.WriteByte('\n')
	return []byte(out.String()), nil
}

// jsonReader reads JSON into the nodes that merge works on.
type jsonReader struct {
	dec     *json.Decoder
	content []byte
	depth   int
}

const maxDepth = 100

var errEarly = errors.New("the file ends too early")

func (r *jsonReader) line() int {
	return 1 + bytes.Count(r.content[:min(int(r.dec.InputOffset()), len(r.content))], []byte("\n"))
}

func (r *jsonReader) value() (*yaml.Node, error) {
	token, err := r.dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errEarly
		}
		return nil, err
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.line()}
	switch t := token.(type) {
	case json.Delim:
		return n, r.open(n, t)
	case string:
		n.Tag, n.Value = "!!str", t
	case json.Number:
		n.Tag, n.Value = "!!float", t.String()
	case bool:
		n.Tag, n.Value = "!!bool", fmt.Sprint(t)
	default:
		n.Tag = "!!null"
	}
	return n, nil
}

func (r *jsonReader) open(n *yaml.Node, t json.Delim) error {
	if r.depth++; r.depth > maxDepth {
		return errors.New("nested too deep")
	}
	defer func() { r.depth-- }()
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	if t == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	for r.dec.More() {
		child, err := r.value()
		if err != nil {
			return err
		}
		if n.Kind == yaml.MappingNode && len(n.Content)%2 == 0 && index(n, child.Value) >= 0 {
			return fmt.Errorf("the key %q is there twice", child.Value)
		}
		n.Content = append(n.Content, child)
	}
	_, err := r.dec.Token() // the end
	if errors.Is(err, io.EOF) {
		err = errEarly
	}
	return err
}

// writeJSON writes n; newline is a line end with the indentation of n.
func writeJSON(out *strings.Builder, n *yaml.Node, newline string) error {
	switch n.Kind {
	case yaml.MappingNode:
		return writeAll(out, n, newline, "{", "}")
	case yaml.SequenceNode:
		return writeAll(out, n, newline, "[", "]")
	}
	if n.Tag != "!!str" && n.Tag != "!!null" && json.Valid([]byte(n.Value)) {
		out.WriteString(n.Value) // as it is written
		return nil
	}
	var value any = n.Value
	if n.Tag != "!!str" {
		if err := n.Decode(&value); err != nil {
			return err
		}
	}
	b, err := marshal(value)
	out.Write(b)
	return err
}

func writeAll(out *strings.Builder, n *yaml.Node, newline, open, end string) error {
	out.WriteString(open)
	for i, c := range n.Content {
		isValue := n.Kind == yaml.MappingNode && i%2 == 1
		switch {
		case isValue:
			out.WriteString(": ")
		case i > 0:
			out.WriteString("," + newline + "  ")
		default:
			out.WriteString(newline + "  ")
		}
		key := *c
		if n.Kind == yaml.MappingNode && !isValue {
			key.Tag = "!!str"
		}
		if err := writeJSON(out, &key, newline+"  "); err != nil {
			return err
		}
	}
	if len(n.Content) > 0 {
		out.WriteString(newline)
	}
	out.WriteString(end)
	return nil
}

// marshal leaves <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(out.Bytes(), "\n"), err
}
