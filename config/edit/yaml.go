package edit

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// mergeYAML keeps comments and order.
func mergeYAML(content []byte, set *yaml.Node) ([]byte, error) {
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc, more yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		doc = yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{{Kind: yaml.MappingNode, Tag: "!!map"}}}
	} else if err != nil {
		return nil, &Error{Why: err.Error()}
	}
	if err == nil && !errors.Is(dec.Decode(&more), io.EOF) {
		return nil, &Error{more.Line, "there is more than one YAML document"}
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, &Error{root.Line, "it is no map at the top"}
	}
	if err := merge(root, set, ""); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&doc), enc.Close()); err != nil {
		return nil, &Error{Why: err.Error()}
	}
	return out.Bytes(), nil
}
