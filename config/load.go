package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/go-shipper/shipper/problem"
)

// DefaultPath is where the configuration lies when nobody says otherwise.
const DefaultPath = "shipper.yaml"

// Load reads, completes and checks the file at path for all its
// environments. It opens nothing else and resolves no secret. The error is a
// problem of kind Usage; with more than one thing wrong it holds Problems.
func Load(path string) (*File, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse is Load with the content at hand; path is for messages and as the
// base of relative paths.
func Parse(path string, data []byte) (*File, error) {
	root, at, err := parse(data)
	if err != nil {
		where := fmt.Sprintf("%s:%d:%d", path, at.line, at.column)
		hint := "see docs/CONFIGURATION.md, or run `shipper init` in an empty folder for an example"
		return nil, &problem.Error{Kind: problem.Usage, What: "not readable as YAML", At: where, Hint: hint, Err: err}
	}
	var problems Problems
	whole := newDecoder(path, &problems)
	f := &File{Path: path, targets: map[string]Target{}}
	whole.decode(root, reflect.ValueOf(f).Elem(), "", "")
	if len(f.Environments) == 0 {
		whole.problem("environments", "add environments: {prod: {hosts: [web1.example.com], transport: {…}}}",
			"`environments` names no environment")
	}
	for _, env := range f.Names() {
		f.targets[env] = target(whole, root, env, &problems)
	}
	f.checkRequires(&problems)
	f.checkBundled(&problems)
	f.settleBuild()
	return f, problems.err(path)
}

func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		hint := "name it with --config, or write one with `shipper init`"
		return nil, problem.New(problem.Usage, hint, "read %s: no such file", path)
	}
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read "+path, "")
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read "+path, "name a file with --config")
	}
	if len(data) > maxBytes {
		return nil, problem.New(problem.Usage, "name a shipper.yaml with --config", "read %s: larger than %d bytes", path, maxBytes)
	}
	return data, nil
}

// Names lists the environments, sorted.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.Environments))
	for name := range f.Environments {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Target gives the configuration of one environment; env may be empty where
// there is only one. The error is of kind Usage and lists the names.
func (f *File) Target(env string) (Target, error) {
	names := f.Names()
	if env == "" && len(names) == 1 {
		env = names[0]
	}
	t, ok := f.targets[env]
	switch {
	case ok:
		return t, nil
	case env == "":
		return Target{}, problem.New(problem.Usage, "name one with --env: "+strings.Join(names, ", "),
			"%s has %d environments", f.Path, len(names))
	}
	return Target{}, problem.New(problem.Usage, problem.Suggest(env, names), "%s has no environment `%s`", f.Path, shorten(env))
}

// target lays the overrides of one environment on the file, reads the result
// and checks it.
func target(whole *decoder, root *yaml.Node, env string, problems *Problems) Target {
	d := newDecoder(whole.at.file, problems)
	d.bad = slices.Clone(whole.bad)
	place := child(child(root, "environments"), env)
	t := Target{Path: absolutePath(whole.at.file), Environment: env}
	d.decode(overlay(root, place), reflect.ValueOf(&t).Elem(), "", "")
	t.at = d.at
	t.complete()
	(&checker{d, &t}).all()
	return t
}

// overlay builds the tree of a Target: the file's sections, overridden.
func overlay(root, environment *yaml.Node) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: environment.Line, Column: environment.Column}
	keys, fields := shape(reflect.TypeFor[Target]())
	for i, key := range keys {
		value := merge(child(root, key), child(environment, key))
		if value == nil || isNull(value) { // decode an empty section, for its defaults
			value = empty(reflect.TypeFor[Target]().Field(fields[i]).Type, environment)
		}
		out.Content = append(out.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, value)
	}
	return out
}

func empty(t reflect.Type, near *yaml.Node) *yaml.Node {
	kind := yaml.MappingNode
	if t.Kind() == reflect.Slice {
		kind = yaml.SequenceNode
	}
	return &yaml.Node{Kind: kind, Line: near.Line, Column: near.Column}
}

func absolutePath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil { // no working folder: relative is the best there is
		return path
	}
	return abs
}

// settleBuild gives every environment the same build: one bundle fits all.
func (f *File) settleBuild() {
	var needs []string
	for _, env := range f.Names() {
		t := f.targets[env]
		for _, need := range t.needs() {
			if !slices.Contains(needs, need) {
				needs = append(needs, need)
			}
		}
	}
	slices.Sort(needs)
	for env, t := range f.targets {
		if len(t.Build.Targets) == 0 {
			t.Build.Targets = needs
			f.targets[env] = t
		}
	}
}
