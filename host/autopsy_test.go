package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// says writes into a slot's log folder, as its instance does.
func (m *machine) says(slot release.Slot, name, text string) {
	m.t.Helper()
	path := filepath.Join(m.layout.Logs(app, slot), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// fails deploys a version that is taken back after it has said something.
func (m *machine) fails(id, version, said string) rpc.Undone {
	m.t.Helper()
	r := m.acquire(id, "deploy")
	r.start(version)
	m.says(release.Green, "out.log", said)
	undone, err := m.c.Undo(context.Background(), rpc.Undo{Fenced: r.f, State: runRolledBack, Why: "errors canary 40 %"})
	if err != nil {
		m.t.Fatal(err)
	}
	m.settled()
	r.release(runRolledBack)
	return undone
}

func TestFailedReleaseIsKeptForALook(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r1", "1.0.0")
	m.says(release.Green, "crashes/1.txt", "panic: nil map")
	undone := m.fails("r2", "1.1.0", strings.Repeat("line\n", 200_000)+"the last words\n")
	m.says(release.Green, "out.log", "of the next one\n")
	if undone.Autopsy == "" {
		t.Error("the reply does not say where")
	}
	for _, run := range []string{"", "r2"} {
		got, err := m.c.Logs(t.Context(), rpc.Logs{Service: app, Failed: true, Run: run, Lines: 3})
		for _, want := range []string{"1.1.0", "errors canary 40 %", "the last words", "panic: nil map", undone.Autopsy} {
			if err != nil || !strings.Contains(got.Text, want) {
				t.Errorf("run %q: no %q, %v:\n%.2000s", run, want, err, got.Text)
			}
		}
		if strings.Contains(got.Text, "of the next one") {
			t.Error("the log is another's")
		}
	}
	_, err := m.c.Logs(t.Context(), rpc.Logs{Service: app, Failed: true, Run: "r9"})
	m.code(err, rpc.CodeNotFound)
	info, err := os.Stat(filepath.Join(undone.Autopsy, "logs", "out.log"))
	if err != nil || info.Size() > autopsyTail {
		t.Errorf("kept are %d bytes, %v", info.Size(), err)
	}
	r := m.acquire("r3", "deploy")
	r.start("1.2.0")
	undone, err = m.c.Undo(t.Context(), rpc.Undo{Fenced: r.f, State: runAborted, Why: "by ann"})
	if err != nil || undone.Autopsy != "" {
		t.Errorf("an abort keeps %q, %v", undone.Autopsy, err)
	}
}

func TestAutopsiesAreBounded(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.deploy("r0", "1.0.0")
	for i := range maxAutopsies + 2 {
		m.fails(fmt.Sprintf("f%d", i), fmt.Sprintf("2.%d.0", i), "bad\n")
	}
	entries, err := os.ReadDir(filepath.Join(m.layout.Service(app), "autopsy"))
	if err != nil || len(entries) != maxAutopsies || entries[0].Name() != "f2" {
		t.Errorf("kept are %v, %v", entries, err)
	}
	r := m.acquire("p", "prune")
	got, err := m.c.Prune(t.Context(), rpc.Prune{Fenced: r.f, Keep: 1})
	if err != nil || len(got.Kept) != 1+maxAutopsies || len(got.Removed) != 2 {
		t.Errorf("pruned: %+v, %v", got, err)
	}
}
