// Package ports gives tests ports that nobody else takes before they do.
package ports

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Of these the system gives none to who does not ask for one: ports that it
// chooses begin above.
const first, count = 10_000, 20_000

// shelf is where who has a port reserves it. Tests listen on 127.0.0.1.
const shelf = "127.83.72.80"

// Free is a port of 127.0.0.1 that stays this test's until its end: no test of
// another process gets it either.
func Free(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := first + rand.IntN(count)
		reserved, err := net.Listen("tcp", net.JoinHostPort(shelf, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			reserved.Close()
			continue
		}
		l.Close()
		t.Cleanup(func() { reserved.Close() })
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// Address is a free port of 127.0.0.1, as addresses are written.
func Address(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(Free(t)))
}
