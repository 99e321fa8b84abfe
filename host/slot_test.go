package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// A slot with data of its own is told where it lies, and finds it there; the
// other slot's, and what both had in common, are elsewhere.
func TestDataPerSlot(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	data := filepath.Join(m.layout.Service(app), "data")
	for i, want := range []string{data, filepath.Join(data, "green"), filepath.Join(data, "blue")} {
		r := m.acquire(fmt.Sprint("run", i), "deploy")
		p := r.startParams(r.push(fmt.Sprintf("1.%d.0", i)))
		p.Revision.Mode, p.Revision.Args, p.Revision.DataPerSlot = "native", []string{"{{.DataDir}}"}, i > 0
		got, err := m.c.Start(context.Background(), p)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := m.scm.Spec(context.Background(), got.Slot.Service(app))
		if err != nil || !slices.Contains(spec.Args, want) {
			t.Errorf("slot %s is started with %q, %v; want %q", got.Slot, spec.Args, err, want)
		}
		if info, err := os.Stat(want); err != nil || !info.IsDir() {
			t.Errorf("no folder for the data: %v", err)
		}
		r.weight(release.Full)
		if err := m.c.Prepare(context.Background(), r.f); err != nil {
			t.Fatal(err)
		}
		r.commit(0)
		r.release(runPromoted)
	}
}
