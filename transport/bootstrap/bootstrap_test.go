package bootstrap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/local"
)

// standIn is a helper that sh can run; words makes its content unique.
func standIn(words string) *Helper {
	return NewHelper([]byte("#!/bin/sh\n# "+words+"\n[ \"$1\" = version ] && exit 0\nexit 3\n"), "linux", "amd64")
}

func here(t *testing.T) (transport.Conn, Options) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs sh")
	}
	c, err := local.Dial(t.Context(), local.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, Options{OS: runtime.GOOS, Root: filepath.Join(t.TempDir(), "it's root")}
}

func bin(t *testing.T, o Options) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(o.Root, "programs", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestEnsureAndLocate(t *testing.T) {
	c, o := here(t)
	h := standIn("one")
	if _, err := Locate(t.Context(), c, h.digest, o); !errors.Is(err, ErrMissing) {
		t.Fatalf("bare host: %v", err)
	}
	p, err := Ensure(t.Context(), c, h, o)
	if err != nil || !p.Installed || filepath.Base(filepath.Dir(p.Path)) != string(h.digest) {
		t.Fatalf("%+v, %v", p, err)
	}
	again, err := Ensure(t.Context(), c, h, o)
	if err != nil || again.Installed || again.Path != p.Path || again.Serve != p.Serve {
		t.Errorf("again: %+v, %v", again, err)
	}
	for _, want := range []release.Digest{h.digest, "", standIn("never placed").digest} {
		if got, err := Locate(t.Context(), c, want, o); err != nil || got.Path != p.Path {
			t.Errorf("locate %.8q: %+v, %v", want, got, err)
		}
	}
	if names := bin(t, o); len(names) != 1 {
		t.Errorf("bin holds %v", names)
	}
	info, err := os.Stat(filepath.Join(o.Root, "programs"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestDamagedHelperIsReplaced(t *testing.T) {
	c, o := here(t)
	h := standIn("one")
	p, err := Ensure(t.Context(), c, h, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Path, []byte("#!/bin/sh\necho evil\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Locate(t.Context(), c, h.digest, o); !errors.Is(err, ErrMissing) {
		t.Errorf("located a damaged helper: %v", err)
	}
	if p, err = Ensure(t.Context(), c, h, o); err != nil || !p.Installed {
		t.Fatalf("%+v, %v", p, err)
	}
	b, err := os.ReadFile(p.Path)
	if err != nil || release.Of(b) != h.digest {
		t.Errorf("still damaged: %v", err)
	}
	if names := bin(t, o); len(names) != 1 {
		t.Errorf("bin holds %v", names)
	}
}

func TestControllersRace(t *testing.T) {
	c, o := here(t)
	h := standIn("one")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if p, err := Ensure(t.Context(), c, h, o); err != nil || p.Path == "" {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	wg.Wait()
	if names := bin(t, o); len(names) != 1 {
		t.Errorf("bin holds %v", names)
	}
}

// meddler is a connection on which something goes wrong.
type meddler struct {
	transport.Conn
	line  string                    // part of the lines it meddles with
	input func(io.Reader) io.Reader // what becomes of their input
	after func()                    // what happens behind our back
	fake  func() *transport.Result  // what they answer instead
}

func (m *meddler) Run(ctx context.Context, line string, in io.Reader) (transport.Result, error) {
	if !strings.Contains(line, m.line) {
		return m.Conn.Run(ctx, line, in)
	}
	if m.fake != nil {
		if r := m.fake(); r != nil {
			return *r, nil
		}
	}
	if m.input != nil {
		in = m.input(in)
	}
	r, err := m.Conn.Run(ctx, line, in)
	if m.after != nil {
		m.after()
	}
	return r, err
}

func TestNothingHalfCopiedStarts(t *testing.T) {
	cut := func(r io.Reader) io.Reader { return io.LimitReader(r, 60) }
	doubled := func(r io.Reader) io.Reader {
		b, _ := io.ReadAll(r)
		return io.MultiReader(bytes.NewReader(b[:40]), bytes.NewReader(b))
	}
	other := func(io.Reader) io.Reader { return bytes.NewReader(standIn("other").archive()) }
	for name, input := range map[string]func(io.Reader) io.Reader{"cut": cut, "doubled": doubled, "other": other} {
		t.Run(name, func(t *testing.T) {
			c, o := here(t)
			_, err := Ensure(t.Context(), &meddler{Conn: c, line: "tar ", input: input}, standIn("one"), o)
			if err == nil || problem.HintOf(err) == "" {
				t.Errorf("error %v", err)
			}
			if name == "other" && problem.KindOf(err) != problem.Verification {
				t.Errorf("kind %v of %v", problem.KindOf(err), err)
			}
			if names := bin(t, o); len(names) != 0 {
				t.Errorf("bin holds %v", names)
			}
		})
	}
}

func TestOneDoubledInputIsForgiven(t *testing.T) {
	c, o := here(t)
	times := 0
	m := &meddler{Conn: c, line: "tar ", input: func(r io.Reader) io.Reader {
		if times++; times == 1 {
			return io.LimitReader(r, 60)
		}
		return r
	}}
	if _, err := Ensure(t.Context(), m, standIn("one"), o); err != nil {
		t.Error(err)
	}
}

func TestHelperThatDoesNotStart(t *testing.T) {
	cases := map[int]string{
		5: "AppLocker", 225: "virus scanner", 226: "virus scanner", 577: "signed", 1260: "software restriction",
		4551: "App Control", 216: "arch", 42: "",
	}
	for exit, hint := range cases {
		c, o := here(t)
		m := &meddler{Conn: c, line: " version", fake: func() *transport.Result {
			return &transport.Result{Exit: exit, Stderr: []byte("host's own\r\nwords")}
		}}
		_, err := Ensure(t.Context(), m, standIn("one"), o)
		if err == nil || !strings.Contains(problem.HintOf(err), hint) || !strings.Contains(err.Error(), "host's own words") {
			t.Errorf("exit %d: %v, hint %q", exit, err, problem.HintOf(err))
		}
		if names := bin(t, o); len(names) != 0 {
			t.Errorf("exit %d: bin holds %v", exit, names)
		}
	}
}

// Each way in which Windows refuses a program has a remedy of its own.
func TestRefusalsOfWindowsAreToldApart(t *testing.T) {
	cases := []struct {
		exit      int
		why, hint string
	}{
		{5, "access denied", "AppLocker or the software restriction policies"},
		{32, "keeps the file open", "backup"},
		{225, "takes it for malware", "tell the virus scanner that %ProgramFiles%"},
		{226, "scanner removed it", "list of finds"},
		{577, "demands a signature", "signed by a publisher the host trusts"},
		{1260, "a policy of the host forbids it", "AppLocker or the software restriction policies"},
		{4551, "App Control of the host forbids it", "(WDAC) policy"},
		{216, "another processor", "`arch`"},
	}
	told := map[string]int{}
	for _, c := range cases {
		err := startError(transport.Result{Exit: c.exit, Stderr: []byte("host's own words")})
		hint := problem.HintOf(err)
		if !strings.Contains(err.Error(), c.why) || !strings.Contains(hint, c.hint) || !strings.Contains(err.Error(), fmt.Sprintf("exit code %d: host's own words", c.exit)) {
			t.Errorf("exit %d: %v, hint %q", c.exit, err, hint)
		}
		why, _ := remedy(c.exit)
		if other, twice := told[why+hint]; twice {
			t.Errorf("exit codes %d and %d read the same: %s; %s", c.exit, other, why, hint)
		}
		told[why+hint] = c.exit
	}
}

func TestScannerHoldsTheFileForAWhile(t *testing.T) {
	c, o := here(t)
	held := 2
	m := &meddler{Conn: c, line: " version", fake: func() *transport.Result {
		if held--; held >= 0 {
			return &transport.Result{Exit: errorSharing}
		}
		return nil
	}}
	if _, err := Ensure(t.Context(), m, standIn("one"), o); err != nil {
		t.Error(err)
	}
}

func TestScannerHoldsTheFolderForAWhile(t *testing.T) {
	c, o := here(t)
	held := 2
	m := &meddler{Conn: c, line: " && mv ", fake: func() *transport.Result {
		if held--; held >= 0 {
			return &transport.Result{Exit: 1, Stderr: []byte("Access is denied.")}
		}
		return nil
	}}
	if p, err := Ensure(t.Context(), m, standIn("one"), o); err != nil || !p.Installed {
		t.Error(err)
	}
	held = 100
	if _, err := Ensure(t.Context(), m, standIn("two"), o); err == nil || !strings.Contains(err.Error(), "Access is denied.") {
		t.Errorf("for ever: %v", err)
	}
	if names := bin(t, o); len(names) != 1 {
		t.Errorf("bin holds %v", names)
	}
}

func TestFolderWithoutItsHelperIsReplaced(t *testing.T) {
	c, o := here(t)
	h := standIn("one")
	if err := os.MkdirAll(filepath.Join(o.Root, "programs", "bin", string(h.digest)), 0o700); err != nil {
		t.Fatal(err)
	}
	if p, err := Ensure(t.Context(), c, h, o); err != nil || !p.Installed {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestScannerTakesTheFile(t *testing.T) {
	c, o := here(t)
	m := &meddler{Conn: c, line: "mv ", after: func() {
		files, _ := filepath.Glob(filepath.Join(o.Root, "programs", "bin", "*", "shipper-host"))
		for _, f := range files {
			os.Remove(f)
		}
	}}
	_, err := Ensure(t.Context(), m, standIn("one"), o)
	if problem.KindOf(err) != problem.Verification || problem.HintOf(err) == "" {
		t.Errorf("error %v", err)
	}
}

func TestNoWayAllowed(t *testing.T) {
	c, o := here(t)
	o.Allow = []string{"carrier pigeon"}
	if _, err := Ensure(t.Context(), c, standIn("one"), o); problem.KindOf(err) != problem.Usage {
		t.Errorf("error %v", err)
	}
}

// script is a Windows host that answers by table and writes down the lines.
type script struct {
	transport.Conn
	answers map[string]transport.Result
	lines   []string
}

func (s *script) Run(_ context.Context, line string, _ io.Reader) (transport.Result, error) {
	s.lines = append(s.lines, line)
	for part, r := range s.answers {
		if strings.Contains(line, part) {
			return r, nil
		}
	}
	return transport.Result{}, nil
}

func TestWindowsHosts(t *testing.T) {
	facts := func(s string) map[string]transport.Result {
		return map[string]transport.Result{"echo ": {Stdout: []byte(s + "\r\n")}}
	}
	h := NewHelper([]byte("MZ"), "windows", "arm64")
	cases := map[string]struct {
		facts string
		kind  problem.Kind
	}{
		"other processor": {`C:\Windows*C:\Program Files*AMD64`, problem.Usage},
		"32 bit":          {`C:\Windows*C:\Program Files*x86`, problem.Usage},
		"not cmd.exe":     {`%SystemRoot%*%ProgramFiles%*%PROCESSOR_ARCHITECTURE%`, problem.Failed},
		"quotes":          {`C:\Windows*C:\"&calc*ARM64`, problem.Failed},
		"nothing":         {``, problem.Failed},
	}
	for name, c := range cases {
		s := &script{answers: facts(c.facts)}
		if _, err := Ensure(t.Context(), s, h, Options{}); err == nil || problem.KindOf(err) != c.kind || len(s.lines) != 1 {
			t.Errorf("%s: %v after %q", name, err, s.lines)
		}
	}
	s := &script{answers: facts(`D:\Windows*D:\Programme (x)*ARM64`)}
	s.answers["certutil"] = transport.Result{Stdout: []byte(h.digest)}
	p, err := Ensure(t.Context(), s, h, Options{})
	want := `D:\Programme (x)\shipper\bin\` + string(h.digest) + `\shipper-host.exe`
	if err != nil || p.Path != want || p.Installed || len(s.lines) != 2 {
		t.Errorf("%+v, %v after %q", p, err, s.lines)
	}
}

func TestFallsBackToPowerShell(t *testing.T) {
	h := NewHelper([]byte("MZ"), "windows", "amd64")
	s := &script{answers: map[string]transport.Result{
		"echo ":          {Stdout: []byte(`C:\Windows*C:\Program Files*AMD64`)},
		"tar.exe":        {Exit: 1, Stderr: []byte("not recognized")},
		"powershell.exe": {Exit: 1, Stderr: []byte("ConstrainedLanguage")},
	}}
	_, err := Ensure(t.Context(), s, h, Options{})
	if err == nil || !strings.Contains(err.Error(), "ConstrainedLanguage") || !strings.Contains(err.Error(), "not recognized") {
		t.Errorf("error %v", err)
	}
	for _, line := range s.lines {
		if strings.Contains(line, "version") {
			t.Errorf("started what was never placed: %s", line)
		}
	}
}
