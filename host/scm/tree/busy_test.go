//go:build linux

package tree

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A program that was just written may still be open for writing in a child
// that has not executed its own program yet.
func TestProgramThatIsStillWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("#!/bin/sh\nexit 7\n"); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(path).Run(); err == nil {
		t.Fatal("the system starts what is still written")
	}
	time.AfterFunc(50*time.Millisecond, func() { f.Close() })
	p, err := Start(&exec.Cmd{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if <-p.Done(); p.Exit() != 7 {
		t.Errorf("exit code %d", p.Exit())
	}
}
