package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestSchemaIsCommitted compares the schema at the top of the repository
// with the types; -update writes it.
func TestSchemaIsCommitted(t *testing.T) {
	path := filepath.Join("..", "shipper.schema.json")
	if *update {
		if err := os.WriteFile(path, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ReplaceAll(string(committed), "\r", "") != string(Schema()) {
		t.Error("shipper.schema.json differs from the types: run go test ./config -update")
	}
}

// TestEveryKeyIsDescribed also finds descriptions whose key is gone, and keys
// that the reference does not mention.
func TestEveryKeyIsDescribed(t *testing.T) {
	reference, err := os.ReadFile(filepath.Join("..", "docs", "CONFIGURATION.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		if typ == reflect.TypeFor[HelperChoice]() {
			typ = reflect.TypeFor[HelperFile]()
		}
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
		case reflect.Struct:
			keys, fields := shape(typ)
			for i, key := range keys {
				id := typ.Name() + "." + key
				known[id] = true
				if descriptions()[id] == "" {
					t.Errorf("%s has no description", id)
				}
				if !strings.Contains(string(reference), "`"+key+"`") {
					t.Errorf("docs/CONFIGURATION.md does not mention `%s` of %s", key, typ.Name())
				}
				walk(typ.Field(fields[i]).Type)
			}
		}
	}
	walk(reflect.TypeFor[File]())
	for id := range descriptions() {
		if !known[id] {
			t.Errorf("%s is described, but no key", id)
		}
	}
}
