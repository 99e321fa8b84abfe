package reload

import (
	"os"
	"testing"
)

// folder is TempDir for Wine, which fails to clean that up.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "service reload")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
