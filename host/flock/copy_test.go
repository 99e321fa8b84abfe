//go:build !windows

package flock

import (
	"path/filepath"
	"syscall"
	"testing"
)

// Between fork and exec every descriptor has a copy in the child.
func TestCopyHoldsNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	f, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	inChild, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(inChild)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = Take(path); err != nil {
		t.Fatalf("after it was freed: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
