package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab/wsman"
)

// playAgent is what the test binary does where it is started in Wine's place:
// the next of the ends that $HOME/ends lists.
func playAgent() {
	file := filepath.Join(os.Getenv("HOME"), "ends")
	ends, err := os.ReadFile(file)
	end, rest, _ := strings.Cut(string(ends), "\n")
	if err == nil {
		err = os.WriteFile(file, []byte(rest), 0o600)
	}
	if err != nil || end == "none" {
		os.Exit(1)
	}
	daemon, err := net.Dial("tcp", os.Getenv("SHIPPER_LAB_AGENT"))
	if err != nil {
		os.Exit(1)
	}
	fmt.Fprintln(daemon, os.Getenv("SHIPPER_LAB_TOKEN"))
	in := bufio.NewReader(daemon)
	_, _ = in.ReadBytes('\n') // the order
	fmt.Fprintln(daemon, end)
	_, _ = in.ReadByte() // until the daemon hangs up
	os.Exit(0)
}

// TestStartIsTriedAgain: what Wine could not create it is asked for again, and
// nothing else is.
func TestStartIsTriedAgain(t *testing.T) {
	told := func(code uint32) string {
		b, err := json.Marshal(report{Code: code, Error: "no"})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const none, runs = "none", `{"Started":true}`
	for name, c := range map[string]struct {
		ends []string
		want string
		left int // ends that did not come about
	}{
		"at once":           {[]string{runs}, "", 0},
		"Wine was busy":     {[]string{none, told(1359), told(1450), told(32), runs}, "", 0},
		"every time":        {[]string{told(1359), told(1359), told(1359), told(1359), told(1359), told(1359), runs}, "no", 1},
		"there is no file":  {[]string{told(2), runs}, wsman.ErrNoFile.Error(), 1},
		"it is no program":  {[]string{told(193), runs}, "no", 1},
		"it may have begun": {[]string{"gibberish", runs}, "read report", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := played(t, c.ends)
			p, err := r.Start(t.Context(), wsman.Command{Line: "ver"})
			if err == nil {
				p.Kill()
			}
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			left, err := os.ReadFile(filepath.Join(r.wine.dir, "home", "ends"))
			if n := strings.Count(string(left), "\n"); err != nil || n != c.left {
				t.Errorf("%d ends did not come about, want %d: %v", n, c.left, err)
			}
		})
	}
}

// played is a runner whose agents end as listed.
func played(t *testing.T, ends []string) *runner {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := wine{loader: self, dir: t.TempDir()}
	err = errors.Join(os.MkdirAll(filepath.Join(w.prefix(), "drive_c"), 0o700), os.Mkdir(filepath.Join(w.dir, "home"), 0o700))
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "home", "ends"), []byte(strings.Join(ends, "\n")+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := newRunner(w, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.listener.Close() })
	return r
}
