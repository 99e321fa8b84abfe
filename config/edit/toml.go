package edit

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"
)

// mergeTOML keeps all values and their types; comments go, keys are sorted.
func mergeTOML(content []byte, set *yaml.Node) ([]byte, error) {
	var base, over map[string]any
	if err := toml.Unmarshal(content, &base); err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return nil, &Error{at.Position.Line, at.Message}
		}
		return nil, &Error{Why: err.Error()}
	}
	if err := set.Decode(&over); err != nil {
		return nil, &Error{Why: err.Error()}
	}
	if base == nil {
		base = map[string]any{}
	}
	if err := mergeTables(base, over, ""); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := toml.NewEncoder(&out)
	enc.Indent = ""
	if err := enc.Encode(base); err != nil {
		return nil, &Error{Why: err.Error()}
	}
	return out.Bytes(), nil
}

func mergeTables(base, over map[string]any, at string) error {
	for key, value := range over {
		old, there := base[key]
		table, isTable := old.(map[string]any)
		more, isMap := value.(map[string]any)
		switch {
		case value == nil:
			return &Error{Why: fmt.Sprintf("%s%s: TOML has no empty values", at, key)}
		case isTable && isMap:
			if err := mergeTables(table, more, at+key+"."); err != nil {
				return err
			}
		case isTable:
			return &Error{Why: fmt.Sprintf("%s%s is a map, and `set` has a value for it", at, key)}
		case isMap && there:
			return &Error{Why: fmt.Sprintf("%s%s is a value, and `set` has a map for it", at, key)}
		default:
			base[key] = value
		}
	}
	return nil
}
