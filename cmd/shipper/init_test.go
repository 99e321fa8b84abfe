package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/go-shipper/shipper/config"
)

// commented finds the lines of the template that are examples: `# key: …`.
var commented = regexp.MustCompile(`(?m)^(\s*)# ((?:- )?[a-zA-Z]+: .*)$`)

// TestInitExamplesAreValid also uncomments everything that init suggests.
func TestInitExamplesAreValid(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("go.mod", []byte("module example.com/orders\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, exit := shipper(t, nil, "init"); exit != 0 {
		t.Fatal(stderr)
	}
	text, err := os.ReadFile("shipper.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := commented.ReplaceAll(text, []byte("$1$2"))
	if len(all) > len(text)-20 {
		t.Fatalf("hardly anything was uncommented:\n%s", all)
	}
	if _, err := config.Parse(filepath.Join(dir, "all.yaml"), all); err != nil {
		t.Errorf("%v\n%s", err, all)
	}
}

func TestServiceName(t *testing.T) {
	for module, want := range map[string]string{
		"github.com/acme/orders": "orders", "github.com/acme/orders/v2": "orders", "orders": "orders",
		"example.com/a b~c": "a-b-c", "v2": "service", "x/.hidden": "hidden",
	} {
		if got := serviceName(module); got != want {
			t.Errorf("%s: %s, want %s", module, got, want)
		}
	}
}
