package scm

import (
	"strings"
	"testing"

	"github.com/go-shipper/shipper/problem"
)

// Each way in which Windows refuses to start a service has a remedy of its own.
func TestStartsThatWindowsRefuses(t *testing.T) {
	cases := map[uint32]struct {
		hint  string
		retry bool
	}{
		2: {"image path", false}, 5: {"read and execute", false}, 32: {"backups", true}, 225: {"is wanted", false}, 226: {"list of finds", false},
		577: {"sign the program", false}, 1053: {"mode console", true}, 1058: {"enable", false}, 1067: {"crashed", false},
		1068: {"depends on", true}, 1069: {"log on as a service", true}, 1260: {"AppLocker", false}, 4551: {"WDAC", false},
	}
	seen := map[string]uint32{}
	for code, want := range cases {
		e := &StartError{Service: "orders-green", Code: code}
		hint := problem.HintOf(e.problem())
		if !strings.Contains(hint, want.hint) || e.Retry() != want.retry {
			t.Errorf("code %d: hint %q, again: %t", code, hint, e.Retry())
		}
		if other, twice := seen[hint]; twice {
			t.Errorf("codes %d and %d have the same remedy: %s", code, other, hint)
		}
		seen[hint] = code
	}
}
