package flock

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestOneHasIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	f, err := Take(path)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Take(path); !errors.Is(err, ErrHeld) {
		t.Errorf("a second one gets %v, %v", second, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = Take(path); err != nil {
		t.Fatalf("after it was freed: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Take(filepath.Join(path, "no folder")); err == nil || errors.Is(err, ErrHeld) {
		t.Errorf("in no folder: %v", err)
	}
}
