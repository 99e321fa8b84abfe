package reload

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

type config struct {
	Name   string   `json:"name"`
	Params Settings `json:"params"`
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace is what shipper and careful editors do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".tmp", text)
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, text string) (*File[config], string) {
	t.Helper()
	path := filepath.Join(folder(t), "orders.json")
	write(t, path, text)
	f, err := Open(path, Options[config]{Quiet: time.Millisecond, Log: slog.New(slog.DiscardHandler), Validate: func(c config) error {
		if c.Name == "" {
			return errors.New("name is missing")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return f, path
}

func TestStartNeedsAGoodFile(t *testing.T) {
	dir := folder(t)
	tests := map[string]string{"": "no such file", "{": "unexpected EOF", `{"nmae":"x"}`: "unknown field", `{"name":"x"} {}`: "more after", `{"name":"x","params":{"a":[]}}`: "no text"}
	for text, want := range tests {
		path := filepath.Join(dir, "missing")
		if text != "" {
			path = filepath.Join(dir, "x.json")
			write(t, path, text)
		}
		if _, err := Open(path, Options[config]{}); err == nil || !strings.Contains(err.Error(), want) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	path := filepath.Join(dir, "large.json")
	write(t, path, `{"name":"long"}`)
	if _, err := Open(path, Options[config]{MaxBytes: 14}); err == nil || !strings.Contains(err.Error(), "more than 14 bytes") {
		t.Errorf("%v", err)
	}
}

// All or nothing: one user's refusal leaves every other as it was.
func TestAppliedAsAWholeOrNotAtAll(t *testing.T) {
	f, path := open(t, `{"name":"one"}`)
	var done []string
	use := func(user string, refuses string) {
		err := f.Use(t.Context(), user, func(_ context.Context, old, next config) (func(), error) {
			if next.Name == refuses {
				return nil, errors.New("cannot be " + refuses)
			}
			return func() { done = append(done, fmt.Sprintf("%s %s→%s", user, old.Name, next.Name)) }, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	use("a", "")
	use("b", "two")
	if err := f.Use(t.Context(), "c", func(context.Context, config, config) (func(), error) { return nil, errors.New("never") }); err == nil {
		t.Error("a refusal at the start was not told")
	}
	for _, step := range []struct{ text, err, name string }{
		{`{"name":"two"}`, "b: cannot be two", "one"},
		{`{"name":""}`, "name is missing", "one"},
		{`{`, "unexpected EOF", "one"},
		{`{"name":"three"}`, "", "three"},
	} {
		replace(t, path, step.text)
		err := f.Reload(t.Context())
		if step.err == "" && err != nil || step.err != "" && (err == nil || !strings.Contains(err.Error(), step.err)) {
			t.Errorf("%s: %v", step.text, err)
		}
		if f.Get().Name != step.name || !errors.Is(f.Check(t.Context()), err) {
			t.Errorf("%s: %s in force, check %v", step.text, f.Get().Name, f.Check(t.Context()))
		}
	}
	if want := []string{"a one→one", "b one→one", "a one→three", "b one→three"}; !slices.Equal(done, want) {
		t.Errorf("%q", done)
	}
	if s := f.Status(); s.Applied != 2 {
		t.Errorf("%+v", s)
	}
}

// What is refused is told once, not at each look at the same file.
func TestRefusalIsToldOnce(t *testing.T) {
	var out bytes.Buffer
	f, path := open(t, `{"name":"one"}`)
	f.o.Log = slog.New(slog.NewTextHandler(&out, nil))
	for _, step := range []func(){func() {}, func() { write(t, path, "{") }, func() { os.Remove(path) }, func() { write(t, path, `{"name":"one"}`) }} {
		step()
		for range 3 {
			f.reload(t.Context(), false)
		}
	}
	if refused, applied := strings.Count(out.String(), "refused"), strings.Count(out.String(), "applied="); refused != 2 || applied != 1 {
		t.Errorf("%s", out.String())
	}
}

// Ways in which files are saved, for real.
func TestChangesAreSeen(t *testing.T) {
	saves := map[string]func(t *testing.T, path, text string){
		"in place": write,
		"replaced": replace,
		"moved away first": func(t *testing.T, path, text string) { // vim with backupcopy=no
			if err := os.Rename(path, path+"~"); err != nil {
				t.Fatal(err)
			}
			write(t, path, text)
		},
		"removed first": func(t *testing.T, path, text string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, text)
		},
		"in pieces": func(t *testing.T, path, text string) {
			for i := range text {
				write(t, path, text[:i+1])
			}
		},
		"link": func(t *testing.T, path, text string) { // as orchestrators do
			next := filepath.Join(folder(t), "next")
			write(t, next, text)
			if err := os.Symlink(next, path+".link"); err != nil {
				t.Skip(err)
			}
			if _, err := os.Lstat(path + ".link"); err != nil {
				t.Skip("links cannot be made here: ", err) // Wine 8
			}
			if err := os.Rename(path+".link", path); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, save := range saves {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, path := open(t, `{"name":"one"}`)
			seen := make(chan string, 100)
			f.Use(t.Context(), "test", func(_ context.Context, _, next config) (func(), error) {
				return func() { seen <- next.Name }, nil
			})
			if err := f.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer f.Stop(context.Background())
			save(t, path, `{"name":"two"}`)
			limit := time.After(time.Minute)
			for got := ""; got != "two"; {
				select {
				case got = <-seen:
				case <-limit:
					t.Fatalf("not seen: %+v", f.Status())
				}
			}
		})
	}
}

func TestWatchingAFolderThatIsNotThere(t *testing.T) {
	f, path := open(t, `{"name":"one"}`)
	if err := os.Rename(filepath.Dir(path), filepath.Dir(path)+"-gone"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(filepath.Dir(path) + "-gone") })
	if err := f.Start(t.Context()); err == nil {
		t.Error("no error")
	}
	if err := f.Watch(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const quiet, poll = 200 * time.Millisecond, 30 * time.Second
		begun := time.Now()
		looks := make(chan time.Duration, 10)
		looked := func() (at []time.Duration) {
			synctest.Wait()
			for len(looks) > 0 {
				at = append(at, <-looks)
			}
			return at
		}
		changes := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		go settle(ctx, changes, quiet, poll, func() { looks <- time.Since(begun) })
		time.Sleep(time.Second)
		for range 10 { // an editor
			changes <- struct{}{}
			time.Sleep(quiet / 2)
		}
		time.Sleep(quiet * 3)
		if at, want := looked(), []time.Duration{quiet, time.Second + 9*quiet/2 + quiet}; !slices.Equal(at, want) {
			t.Errorf("looked at %v, want %v", at, want)
		}
		time.Sleep(poll)
		if at := looked(); !slices.Equal(at, []time.Duration{poll}) {
			t.Errorf("looked at %v", at)
		}
		stop()
		synctest.Wait()
	})
}
