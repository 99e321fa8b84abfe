package consul

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The example finds the agent by the environment, registers, and is gone from
// the catalogue after its stop.
func TestOrdersWithARealAgent(t *testing.T) {
	a := startAgent(t)
	a.run()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	exe := filepath.Join(t.TempDir(), "orders")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", exe, "../../examples/orders").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-listen", fmt.Sprintf("127.0.0.1:%d", port))
	cmd.Env = append(os.Environ(), "CONSUL_HTTP_ADDR="+a.url(), "SHIPPER_SLOT=green")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	a.awaitStatus("passing")
	if e, _ := a.find("orders"); e.Service.Port != port || e.Service.Meta["slot"] != "green" || e.Service.Meta["role"] != "stable" {
		t.Errorf("found as %+v", e.Service)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	a.await("end in the catalogue", func() bool {
		var all []entry
		return a.get("/v1/health/service/orders", &all) == nil && len(all) == 0
	})
}
