package ports_test

import (
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/go-shipper/shipper/lab/ports"
)

func TestAPortIsOnesOwn(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 200 {
		port := ports.Free(t)
		if seen[port] {
			t.Fatalf("%d is given twice", port)
		}
		seen[port] = true
	}
}

func TestAPortCanBeTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", ports.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// What another process has is no longer free here, taken or not.
func TestOtherProcessesAreHeard(t *testing.T) {
	t.Parallel()
	const asked = "PORTS_TEST_ADDRESS"
	if address := os.Getenv(asked); address != "" {
		if _, err := net.Listen("tcp", address); err == nil {
			t.Errorf("%s is free", address)
		}
		return
	}
	port := ports.Address(t)
	_, number, _ := net.SplitHostPort(port)
	child := exec.Command(os.Args[0], "-test.run=^TestOtherProcessesAreHeard$")
	child.Env = append(os.Environ(), asked+"="+net.JoinHostPort("127.83.72.80", number))
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
