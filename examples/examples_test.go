package examples

import (
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write orders.mod, orders.sum and kit.mod anew, by what the kit and orders import")

// The module that the demo ships must build as it is written.
func TestOrdersIsAModuleOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	if *update {
		tidy(t, t.TempDir())
		t.Log("run the test again, without -update")
		return
	}
	if err := Orders(dir); err != nil {
		t.Fatal(err)
	}
	goCommand(t, dir, "build", "-mod=readonly", "-o", os.DevNull, ".")
}

func goCommand(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s\nIf imports changed: go test ./examples -update", args, err, out)
	}
}

// tidy lets Go find what of our own requirements the kit and orders need.
func tidy(t *testing.T, dir string) {
	t.Helper()
	if err := Orders(dir); err != nil {
		t.Fatal(err)
	}
	kit := filepath.Join(dir, "kit")
	for to, from := range map[string]string{"go.mod": "../go.mod", "go.sum": "../go.sum"} {
		move(t, from, filepath.Join(kit, to))
	}
	goCommand(t, kit, "mod", "tidy")
	goCommand(t, dir, "mod", "tidy")
	move(t, filepath.Join(kit, "go.mod"), "kit.mod")
	move(t, filepath.Join(dir, "go.mod"), "orders.mod")
	move(t, filepath.Join(dir, "go.sum"), "orders.sum")
}

func move(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err := errors.Join(err, os.WriteFile(to, data, 0o644)); err != nil {
		t.Fatal(err)
	}
}
