//go:build !windows

package host

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// migrating pushes a release with a program for hooks: it says what it knows
// and ends as its argument wants.
func (m *real) migrating(r *run, version string) rpc.Start {
	m.t.Helper()
	p := m.params(r, version, nil)
	script := []byte("#!/bin/sh\necho stage $SHIPPER_STAGE of $SHIPPER_VERSION, $COLOUR, token $TOKEN, role $SHIPPER_ROLE_FILE in $(pwd)\nif [ $1 = hang ]; then sleep 600; fi\nexit $1\n")
	program := []byte("#!/bin/sh\n# " + version + "\nexec \"$TESTBIN\" instance\n")
	files := []release.File{{Path: "orders.exe", Size: int64(len(program)), SHA256: release.Of(program)}, {Path: "tools/migrate", Size: int64(len(script)), SHA256: release.Of(script)}}
	p.Revision.Release = release.Release{Version: version, Digest: release.ContentDigest(files)}
	put := rpc.Put{Service: app, Run: r.f.Run, Fence: r.f.Fence, Digest: files[1].SHA256, Size: files[1].Size, Encoded: files[1].Size}
	_, err := m.c.Put(context.Background(), put, &slowReader{b: script})
	err = errors.Join(err, m.c.Install(context.Background(), rpc.Install{Fenced: r.f, Release: p.Revision.Release, Files: files}))
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

func TestHookOnTheHost(t *testing.T) {
	t.Parallel()
	m := newReal(t)
	r := m.acquire("r1", "deploy")
	start := m.migrating(r, "1.0.0")
	call := func(arg string, limit time.Duration) (rpc.HookReply, string, error) {
		got, err := m.c.Hook(t.Context(), rpc.Hook{
			Start: start, Name: "migrate", Stage: "beforeStart", Command: []string{"tools/migrate", arg}, Vars: map[string]string{"COLOUR": "red"}, Limit: limit,
		})
		said, _ := os.ReadFile(filepath.Join(m.layout.Logs(app, hookSlot), "out.log"))
		return got, string(said), err
	}
	_, said, err := call("0", time.Minute)
	if want := "stage beforeStart of 1.0.0, red, token s3cret, role in " + m.guard.store.Path(app, start.Revision.Release); err != nil || !strings.Contains(said, want) {
		t.Errorf("it said %q, want %q: %v", said, want, err)
	}
	_, _, err = call("7", time.Minute)
	if m.code(err, rpc.CodeUnhealthy); !strings.Contains(err.Error(), "exit code 7") {
		t.Error(err)
	}
	_, _, err = call("hang", time.Second)
	if m.code(err, rpc.CodeUnhealthy); !strings.Contains(err.Error(), "no end within 1s") {
		t.Error(err)
	}
	if st, err := m.manager.Status(t.Context(), app+hookSuffix); err != nil || st.PID != 0 {
		t.Errorf("a hook that took too long is %+v, %v", st, err)
	}
	leftovers, err := filepath.Glob(filepath.Join(m.layout.Service(app), "hook", "*"))
	if err != nil || len(leftovers) != 1 {
		t.Errorf("left over: %v, %v", leftovers, err)
	}
	for _, c := range [][]string{nil, {"../orders.exe"}, {"/bin/sh"}, {`c:\windows\system32\cmd.exe`}} {
		_, err := m.c.Hook(t.Context(), rpc.Hook{Start: start, Name: "bad", Command: c, Limit: time.Minute})
		m.code(err, rpc.CodeFailed)
	}
	stranger := start
	stranger.Fence--
	_, err = m.c.Hook(t.Context(), rpc.Hook{Start: stranger, Command: []string{"tools/migrate"}, Limit: time.Minute})
	m.code(err, rpc.CodeFenced)
	if err := m.c.Remove(t.Context(), rpc.Remove{Fenced: r.f}); err != nil {
		t.Fatal(err)
	}
	if names, err := m.manager.List(t.Context(), ""); err != nil || strings.Contains(strings.Join(names, " "), hookSuffix) {
		t.Errorf("after the removal there are %v, %v", names, err)
	}
}
