//go:build linux

package service

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketIsOurs(t *testing.T) {
	_, dir, _, stop := controlled(t)
	socket := filepath.Join(dir, "control.sock")
	for path, want := range map[string]os.FileMode{dir: 0o700, socket: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	// A second instance does not take it away.
	second, ctx, _ := begin(t, readyFunc(), WithControl(dir))
	if err := second.live(ctx); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second one: %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the end: %v", err)
	}
}

// One that a crash left behind is replaced; a folder that others can write to
// is refused.
func TestSocketOfACrash(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "control.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	c := &control{}
	if err := c.listen(dir, "control"); err != nil {
		t.Fatal(err)
	}
	c.listener.Close()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := c.listen(dir, "control"); err == nil || !strings.Contains(err.Error(), "nobody else can write") {
		t.Errorf("a folder of everybody: %v", err)
	}
}

func TestOnlyOurselvesAndRoot(t *testing.T) {
	for uid, want := range map[uint32]bool{1000: true, 0: true, 1001: false, 65534: false} {
		if who, err := admit(uid, 1000, 42); (err == nil) != want || err != nil && (who != "" || !errors.Is(err, ErrRefused)) {
			t.Errorf("user %d: %q, %v", uid, who, err)
		}
	}
}

// What is no command gets an answer that says so, and the next caller his.
func TestStrangeTalk(t *testing.T) {
	_, dir, _, stop := controlled(t)
	for _, talk := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\n", "{\n", strings.Repeat("a", 2*maxCommand)} {
		conn, err := net.Dial("unix", filepath.Join(dir, "control.sock"))
		if err != nil {
			t.Fatal(err)
		}
		go conn.Write([]byte(talk))
		var a Answer
		if err := json.NewDecoder(conn).Decode(&a); err == nil && (a.OK || !strings.Contains(a.Error, "refused")) {
			t.Errorf("%.20q: %+v", talk, a)
		}
		conn.Close()
	}
	if _, err := Control(t.Context(), dir, "", Command{Command: CommandStatus}); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
