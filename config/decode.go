package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/go-shipper/shipper/problem"
)

// decoder reads nodes into values, strictly: it goes on after a problem, so
// that one look finds them all.
type decoder struct {
	at       positions
	problems *Problems
	bad      []string // paths with problems: what follows from them is noise
}

// nodeDecoder is a type that is written in more than one way.
type nodeDecoder interface {
	decodeNode(d *decoder, n *yaml.Node, path string)
}

func newDecoder(file string, problems *Problems) *decoder {
	return &decoder{at: positions{file, map[string]place{}}, problems: problems}
}

// problem notes what is wrong with the value at path, once.
func (d *decoder) problem(path, hint, format string, args ...any) {
	for _, bad := range d.bad {
		if within(path, bad) || within(bad, path) && bad != path && path != "" {
			return
		}
	}
	d.bad = append(d.bad, path)
	d.report(path, hint, format, args...)
}

// report is problem for what several of may stand at one place.
func (d *decoder) report(path, hint, format string, args ...any) {
	d.problems.add(d.at.find(path), hint, fmt.Sprintf(format, args...))
}

// decode reads n, found at path, into v.
func (d *decoder) decode(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	d.at.places[path] = place{n.Line, n.Column}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if x, ok := v.Addr().Interface().(nodeDecoder); ok {
		x.decodeNode(d, n, path)
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d.duration(n, v, path)
	case v.Kind() == reflect.Struct:
		d.structure(n, v, path)
	case v.Kind() == reflect.Map:
		d.mapping(n, v, path, tag)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path, tag)
	default:
		d.scalar(n, v, path, tag)
	}
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	if x, ok := v.Addr().Interface().(defaulter); ok {
		x.setDefaults()
	}
	keys, fields := shape(v.Type())
	d.pairs(n, path, func(key, value *yaml.Node) {
		i := slices.Index(keys, key.Value)
		if i < 0 {
			d.unknown(key, keys, path)
			return
		}
		field := v.Type().Field(fields[i])
		if isNull(value) && field.Type.Kind() != reflect.Pointer && !written(field.Type) {
			return // a section whose content is commented out
		}
		d.decode(value, v.Field(fields[i]), dot(path, key.Value), field.Tag)
	})
}

// written reports whether an empty value of type t is a mistake.
func written(t reflect.Type) bool {
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Map && t.Kind() != reflect.Slice
}

// shape lists the keys of a struct and the fields they belong to.
func shape(t reflect.Type) (keys []string, fields []int) {
	for i := range t.NumField() {
		if key, ok := t.Field(i).Tag.Lookup("yaml"); ok && key != "-" {
			keys, fields = append(keys, key), append(fields, i)
		}
	}
	return keys, fields
}

// pairs calls each for every key and value of a mapping; keys come once.
func (d *decoder) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.problem(path, "write lines like `key: value` under it", "%s: want a map of keys and values, got %s", name(path), describe(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := dot(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode:
			d.at.places[path+"[?]"] = place{key.Line, key.Column}
			d.report(path+"[?]", "write a word before the colon", "%s: a key must be a word", name(path))
		case seen[key.Value]:
			d.at.places[at+"[again]"] = place{key.Line, key.Column}
			d.report(at+"[again]", "remove one of the two", "duplicate key `%s`", key.Value)
		default:
			seen[key.Value] = true
			each(key, value)
		}
	}
}

func (d *decoder) unknown(key *yaml.Node, keys []string, path string) {
	at := dot(path, key.Value)
	d.at.places[at] = place{key.Line, key.Column}
	if key.Value == "<<" {
		d.report(at, "write the values out; an environment names only what it overrides", "merge keys are not supported")
		return
	}
	if later(at) {
		d.report(at, "remove the key", "`%s` is not part of this version", at)
		return
	}
	if meant := problem.Closest(key.Value, keys); meant != "" {
		d.bad = append(d.bad, dot(path, meant)) // it is there, only misspelt
	}
	d.report(at, problem.Suggest(key.Value, keys), "unknown key `%s`%s", key.Value, inside(path))
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, path, func(key, value *yaml.Node) {
		elem := reflect.New(v.Type().Elem()).Elem()
		at := dot(path, key.Value)
		if elem.Type() == reflect.TypeFor[*Environment]() {
			if !d.section(value, at) {
				return
			}
			at = "" // an environment's values are named as if they stood at the top
		}
		d.decode(value, elem, at, tag)
		v.SetMapIndex(reflect.ValueOf(key.Value), elem)
	})
}

// section reports whether n can hold an environment.
func (d *decoder) section(n *yaml.Node, path string) bool {
	if n.Kind == yaml.MappingNode {
		return true
	}
	d.at.places[path] = place{n.Line, n.Column}
	d.problem(path, "write hosts: and transport: under it", "%s: want a map of keys and values, got %s", name(path), describe(n))
	return false
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind != yaml.SequenceNode {
		hint := "write each item on a line of its own, after a dash"
		if n.Kind == yaml.ScalarNode {
			hint = fmt.Sprintf("write a list: [%s]", n.Value)
		}
		d.problem(path, hint, "%s: want a list, got %s", name(path), describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.decode(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i), tag)
	}
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		d.problem(path, "write "+wanted(v)+", or remove the line", "%s: want %s, got %s", name(path), wanted(v), describe(n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		d.text(n, v, path, tag)
	case reflect.Bool:
		v.SetBool(n.Value == "true")
		if n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
			d.problem(path, "write true or false", "%s: want true or false, got %s", name(path), describe(n))
		}
	case reflect.Float64:
		x, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || n.Tag != "!!int" && n.Tag != "!!float" {
			d.problem(path, "write digits, like 0.5", "%s: want a number, got %s", name(path), describe(n))
		}
		v.SetFloat(x)
	default:
		x, err := strconv.ParseInt(n.Value, 10, 32)
		if err != nil || n.Tag != "!!int" {
			d.problem(path, "write digits, like 5", "%s: want a whole number, got %s", name(path), describe(n))
		}
		v.SetInt(x)
	}
}

func (d *decoder) text(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Tag != "!!str" && tag.Get("scalar") != "any" {
		d.problem(path, fmt.Sprintf("put it in quotes: %q", n.Value), "%s: want text, got %s", name(path), describe(n))
		return
	}
	v.SetString(n.Value)
	if allowed := strings.Split(tag.Get("enum"), "|"); allowed[0] != "" && !slices.Contains(allowed, n.Value) {
		d.problem(path, problem.Suggest(n.Value, allowed), "%s: `%s` is not one of %s", name(path), n.Value, strings.Join(allowed, ", "))
	}
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string) {
	if n.Tag == "!!int" || n.Tag == "!!float" {
		d.problem(path, fmt.Sprintf("write the unit: %ss", n.Value), "%s: want a duration, got the bare number %s", name(path), n.Value)
		return
	}
	x, err := time.ParseDuration(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil:
		d.problem(path, "write a number and a unit, like 30s, 10m or 24h", "%s: want a duration, got %s", name(path), describe(n))
	case x < 0:
		d.problem(path, "remove the minus", "%s: %s is negative", name(path), n.Value)
	}
	v.SetInt(int64(x))
}

// dot appends a key to a path.
func dot(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// name is how a message calls the value at path.
func name(path string) string {
	if path == "" {
		return "the file"
	}
	return "`" + path + "`"
}

func inside(path string) string {
	if path == "" {
		return ""
	}
	return " in `" + path + "`"
}

// describe names what was found instead.
func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a map"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	case n.Tag == "!!str":
		return strconv.Quote(shorten(n.Value))
	}
	return shorten(n.Value)
}

// shorten bounds what a message repeats of the input.
func shorten(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:57], "") + "..."
	}
	return s
}

func wanted(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a number"
	}
	return "a whole number"
}
