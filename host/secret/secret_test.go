package secret

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func box(t testing.TB) Box {
	t.Helper()
	dir, err := os.MkdirTemp("", "shipper secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.Remove(filepath.Join(dir, "seal.key"))
		os.Remove(dir)
	})
	return NewBox(dir)
}

func TestSealAndOpen(t *testing.T) {
	b := box(t)
	for _, plain := range [][]byte{{}, []byte("x"), []byte("s3cret value"), bytes.Repeat([]byte("long"), 100_000)} {
		sealed, err := b.Seal(plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 1 && bytes.Contains(sealed, plain) {
			t.Error("the seal shows the value")
		}
		if got, err := b.Open(sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("open: %d bytes, %v, want %d", len(got), err, len(plain))
		}
	}
}

func TestOpenRefusesWhatWasChanged(t *testing.T) {
	b := box(t)
	sealed, err := b.Seal([]byte("s3cret value"))
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	for name, in := range map[string][]byte{
		"changed": changed, "cut": sealed[:len(sealed)/2], "empty": nil, "foreign": []byte("hello"),
		"too long": make([]byte, MaxSealed+1),
	} {
		if got, err := b.Open(in); err == nil {
			t.Errorf("%s: opened as %q", name, got)
		}
	}
}

func TestMap(t *testing.T) {
	b := box(t)
	want := map[string]string{"A": "1", "B": "two\nlines", "Ü": ""}
	sealed, err := b.SealMap(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.OpenMap(sealed); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	plain, err := b.Seal([]byte("s3cret, no map"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.OpenMap(plain); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("no map: %v", err)
	}
}

func TestKeyFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps the key itself")
	}
	b := box(t)
	var all sync.WaitGroup
	sealed := make([][]byte, 8)
	for i := range sealed { // the first seals race for one key
		all.Go(func() { sealed[i], _ = b.Seal([]byte("x")) })
	}
	all.Wait()
	for i := range sealed {
		if _, err := b.Open(sealed[i]); err != nil {
			t.Errorf("seal %d: %v", i, err)
		}
	}
	path := filepath.Join(b.dir, "seal.key")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Open(sealed[0]); err == nil {
		t.Error("a key that others can read was used")
	}
	other := box(t)
	if _, err := other.Seal([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Open(sealed[0]); err == nil {
		t.Error("opened with another machine's key")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte("shipper-sealed-1\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
	b := box(f)
	if _, err := b.Seal(nil); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if got, err := b.Open(in); err == nil {
			t.Errorf("opened %q as %q", in, got)
		}
	})
}
