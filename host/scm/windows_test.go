//go:build windows

package scm_test

import (
	"testing"

	"github.com/go-shipper/shipper/host/scm"
)

// Runs on a real Windows as an administrator, and on Wine (wine_test.go).
func TestWindowsContract(t *testing.T) {
	w, err := scm.NewWindows()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	testContract(t, bench{Manager: w, prefix: "shipper-test-", exe: executable(t)})
}
