package config

import (
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/go-shipper/shipper/release"
)

// decodeNode reads a host: its address, or a map.
func (h *Host) decodeNode(d *decoder, n *yaml.Node, path string) {
	v := reflect.ValueOf(h).Elem()
	if n.Kind == yaml.ScalarNode {
		h.setDefaults()
		d.scalar(n, v.FieldByName("Address"), path, "")
		return
	}
	d.structure(n, v, path)
}

// decodeNode reads `preinstalled`, one file, or a list of them.
func (h *HelperChoice) decodeNode(d *decoder, n *yaml.Node, path string) {
	switch n.Kind {
	case yaml.ScalarNode:
		if h.Preinstalled = n.Value == preinstalled; !h.Preinstalled {
			d.problem(path, "write preinstalled, or {path: FILE, sha256: DIGEST}", "%s: want preinstalled or files, got %s", name(path), describe(n))
		}
	case yaml.SequenceNode:
		d.list(n, reflect.ValueOf(&h.Files).Elem(), path, "")
	default:
		h.Files = make([]HelperFile, 1)
		d.structure(n, reflect.ValueOf(&h.Files[0]).Elem(), path)
	}
}

const preinstalled = "preinstalled"

// decodeNode keeps a map as it is; what is in it is not shipper's.
func (v *Values) decodeNode(d *decoder, n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		d.problem(path, "write set: {server: {port: 8080}}", "%s: want a map of keys and values, got %s", name(path), describe(n))
		return
	}
	v.node = n
}

// decodeNode reads a step: exactly one key, in the short or the long form.
func (s *Step) decodeNode(d *decoder, n *yaml.Node, path string) {
	const hint = "write one of {setWeight: 5}, {pause: 30s}, {pause: {}}, {analysis: true}"
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		d.problem(path, hint, "%s: a step has exactly one of setWeight, pause, analysis", name(path))
		return
	}
	key, value := n.Content[0], n.Content[1]
	at := dot(path, key.Value)
	d.at.places[at] = place{value.Line, value.Column}
	switch key.Value {
	case "setWeight":
		s.SetWeight = d.weight(value, at)
	case "pause":
		s.Pause = d.pause(value, at)
	case "analysis":
		s.Analysis = d.on(value, at)
	default:
		keys, _ := shape(reflect.TypeFor[Step]())
		d.unknown(key, keys, path)
	}
}

func (d *decoder) weight(n *yaml.Node, path string) *release.Weight {
	if n.Kind != yaml.ScalarNode {
		d.problem(path, "write a number, like 5 or 2.5", "%s: want a percentage, got %s", name(path), describe(n))
		return nil
	}
	w, err := release.ParseWeight(n.Value)
	if err != nil {
		d.problem(path, "a weight is a percentage from 0 to 100 with at most two decimals", "%s: %v", name(path), err)
		return nil
	}
	return &w
}

// pause reads `30s`, `{duration: 30s}`, or nothing: until promoted.
func (d *decoder) pause(n *yaml.Node, path string) *time.Duration {
	var p struct {
		Duration time.Duration `yaml:"duration"`
	}
	switch {
	case isNull(n):
	case n.Kind == yaml.MappingNode:
		d.structure(n, reflect.ValueOf(&p).Elem(), path)
	default:
		d.duration(n, reflect.ValueOf(&p.Duration).Elem(), path)
	}
	return &p.Duration
}

// on reads `true`, `{}` or nothing: present means yes.
func (d *decoder) on(n *yaml.Node, path string) bool {
	empty := n.Kind == yaml.MappingNode && len(n.Content) == 0
	if !empty && !isNull(n) && n.Value != "true" {
		d.problem(path, "write {analysis: true}, or remove the step", "%s: want true or {}, got %s", name(path), describe(n))
		return false
	}
	return true
}
