package recovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

type progress struct{ Done []int }

func TestCheckpoint(t *testing.T) {
	path := filepath.Join(folder(t), "sync.checkpoint")
	c := NewCheckpoint[progress](path, 1, nil)
	if _, found, err := c.Load(); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	for n := range 3 {
		if err := c.Save(progress{make([]int, n)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		damage string
		want   int // done; -1: damaged
	}{{"", 2}, {path, 1}, {path + previous, -1}} {
		if step.damage != "" {
			if err := os.WriteFile(step.damage, []byte("svckeep1 and then the power went"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		v, found, err := c.Load()
		if step.want < 0 && !errors.Is(err, ErrDamaged) || step.want >= 0 && (!found || err != nil || len(v.Done) != step.want) {
			t.Errorf("%s damaged: %v, %v, %v", step.damage, v, found, err)
		}
	}
	if err := c.Save(progress{}); err != nil { // over a damaged one, which is not kept
		t.Fatal(err)
	}
	if _, err := readChecked(path + previous); !errors.Is(err, ErrDamaged) {
		t.Errorf("%v", err)
	}
	for range 2 {
		if err := c.Clear(); err != nil {
			t.Error(err)
		}
	}
	if _, found, err := c.Load(); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
}

// The power may go between any two steps of a save.
func TestThereIsAlwaysAWholeOne(t *testing.T) {
	path := filepath.Join(folder(t), "x")
	c := NewCheckpoint[int](path, 1, nil)
	if err := errors.Join(c.Save(1), c.Save(2)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+previous); err != nil { // after the first of two moves
		t.Fatal(err)
	}
	if v, found, err := c.Load(); v != 2 || !found || err != nil {
		t.Errorf("%v, %v, %v", v, found, err)
	}
	if err := os.Mkdir(path+".next", 0o700); err != nil { // a save that fails
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+".next", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Save(3); err == nil {
		t.Error("no error")
	}
	if v, found, err := c.Load(); v != 2 || !found || err != nil {
		t.Errorf("%v, %v, %v", v, found, err)
	}
}

func TestVersionsOfACheckpoint(t *testing.T) {
	path := filepath.Join(folder(t), "x")
	if err := NewCheckpoint[int](path, 1, nil).Save(7); err != nil {
		t.Fatal(err)
	}
	second := NewCheckpoint(path, 2, func(version uint32, data []byte) (p progress, err error) {
		p.Done = []int{0}
		return p, json.Unmarshal(data, &p.Done[0])
	})
	if v, found, err := second.Load(); err != nil || !found || v.Done[0] != 7 {
		t.Errorf("%v, %v", v, err)
	}
	if err := second.Save(progress{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := NewCheckpoint[int](path, 1, nil).Load(); !errors.Is(err, ErrNewer) {
		t.Errorf("%v", err)
	}
	if _, found, err := NewCheckpoint[int](path, 3, nil).Load(); found || err == nil {
		t.Errorf("%v", err)
	}
}

func FuzzChecked(f *testing.F) {
	f.Add(encodeChecked(checked{3, []byte("hello")}))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeChecked(b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) || c.payload != nil {
				t.Errorf("%v beside %v", c, err)
			}
			// a changed bit is seen wherever it is
			whole := encodeChecked(checked{1, b})
			if len(b) > 0 {
				whole[int(b[0])%len(whole)] ^= 1 << (b[0] % 8)
				if _, err := decodeChecked(whole); err == nil {
					t.Error("a changed bit was not seen")
				}
			}
			return
		}
		if !bytes.Equal(encodeChecked(c), b) {
			t.Errorf("%x is not %x", encodeChecked(c), b)
		}
	})
}
