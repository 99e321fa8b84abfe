package examples

import (
	"os"
	"os/exec"
	"testing"
)

// The module that the demo ships must build as it is written.
func TestOrdersIsAModuleOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	if err := Orders(dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-mod=readonly", "-o", os.DevNull, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}
