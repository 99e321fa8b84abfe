package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func apply(old, delta []byte, size int) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(old), int64(len(old)), bytes.NewReader(delta), int64(len(delta)), int64(size))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func encode(t testing.TB, old, new []byte) []byte {
	t.Helper()
	d, err := Encode(t.Context(), old, new)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// program is bytes as in a program: words of few kinds, calls, tables.
func program(r *rand.Rand, n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		switch r.IntN(4) {
		case 0:
			b = binary.LittleEndian.AppendUint32(append(b, 0xe8), uint32(r.IntN(1<<20)))
		case 1:
			b = append(b, 0x48, 0x8b, byte(r.IntN(256)), byte(r.IntN(8)))
		case 2:
			b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
		default:
			b = append(b, bytes.Repeat([]byte{byte(r.IntN(8))}, 1+r.IntN(6))...)
		}
	}
	return b[:n]
}

// edit changes what a new version changes: some bytes, some pieces, and the
// words of some stretch by one amount.
func edit(r *rand.Rand, old []byte) []byte {
	b := bytes.Clone(old)
	for range r.IntN(12) {
		at := r.IntN(len(b) + 1)
		size := min(r.IntN(1<<r.IntN(14)+1), len(b)-at)
		switch r.IntN(5) {
		case 0: // inserted
			b = append(b[:at:at], append(program(r, size), b[at:]...)...)
		case 1: // removed
			b = append(b[:at:at], b[at+size:]...)
		case 2: // moved to the end
			b = append(append(b[:at:at], b[at+size:]...), b[at:at+size]...)
		case 3: // shifted
			by := uint32(r.IntN(1 << 14))
			for i := at; i+4 <= at+size; i += 4 + r.IntN(3)*4 {
				binary.LittleEndian.PutUint32(b[i:], binary.LittleEndian.Uint32(b[i:])+by)
			}
		case 4: // doubled
			b = append(b[:at+size:at+size], b[at:]...)
		}
	}
	return b
}

func TestWhatIsEncodedIsDecoded(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 7))
		old := program(r, r.IntN(1<<r.IntN(19)))
		new := edit(r, old)
		if seed%10 == 0 {
			new = program(r, r.IntN(50_000)) // nothing in common
		}
		d := encode(t, old, new)
		if got, err := apply(old, d, len(new)); err != nil || !bytes.Equal(got, new) {
			t.Fatalf("seed %d: %d bytes from %d, %v", seed, len(got), len(old), err)
		}
		if again := encode(t, old, new); !bytes.Equal(d, again) {
			t.Fatalf("seed %d: the same files gave two deltas", seed)
		}
	}
}

func TestEdges(t *testing.T) {
	long := program(rand.New(rand.NewPCG(1, 1)), 3*piece+5)
	for name, tt := range map[string]struct{ old, new []byte }{
		"both empty":      {nil, nil},
		"from nothing":    {nil, long},
		"to nothing":      {long, nil},
		"the same":        {long, long},
		"one byte":        {[]byte("a"), []byte("b")},
		"zeros":           {make([]byte, 200_000), make([]byte, 100_001)},
		"begins later":    {long, long[7:]},
		"ends earlier":    {long, long[:len(long)-3]},
		"behind the edge": {long[100:], long},
	} {
		d := encode(t, tt.old, tt.new)
		if got, err := apply(tt.old, d, len(tt.new)); err != nil || !bytes.Equal(got, tt.new) {
			t.Errorf("%s: %d bytes, want %d: %v", name, len(got), len(tt.new), err)
		}
	}
}

func TestTablesThatMovedCostLittle(t *testing.T) {
	var old, new []byte
	for i := range uint32(50_000) {
		old = binary.LittleEndian.AppendUint32(old, i*0x1d3)
		new = binary.LittleEndian.AppendUint32(new, i*0x1d3+0x2a40)
	}
	old, new = append(program(rand.New(rand.NewPCG(1, 2)), 4096), old...), append(program(rand.New(rand.NewPCG(1, 2)), 4096), new...)
	if d := encode(t, old, new); len(d) > len(new)/500 {
		t.Errorf("%d bytes for a table of %d in which every word changed by the same", len(d), len(new))
	}
}

// Nothing that is wrong panics, gives more than was asked for, or gives the
// right bytes by an error's side.
func TestWrongDeltas(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	old := program(r, 60_000)
	new := edit(r, old)
	d := encode(t, old, new)
	refused, different := 0, 0
	try := func(what string, old, delta []byte) {
		got, err := apply(old, delta, len(new))
		switch {
		case err != nil:
			refused++
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s: %v", what, err)
			}
		case len(got) != len(new):
			t.Errorf("%s: %d bytes without an error", what, len(got))
		case !bytes.Equal(got, new):
			different++
		}
	}
	for cut := 0; cut < len(d); cut += 1 + cut/50 {
		if _, err := apply(old, d[:cut], len(new)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d of %d: %v", cut, len(d), err)
		}
	}
	for range 800 {
		bad := bytes.Clone(d)
		bad[r.IntN(len(bad))] ^= 1 << r.IntN(8)
		try("a flipped bit", old, bad)
	}
	other := bytes.Clone(old)
	other[len(other)/2] ^= 1
	try("another old file", other, d)
	if refused == 0 || different == 0 {
		t.Errorf("%d were refused, %d gave other bytes: both happen", refused, different)
	}
	if _, err := apply(old[1:], d, len(new)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an old file of another size: %v", err)
	}
	if _, err := apply(old, d, len(new)+1); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a new file of another size: %v", err)
	}
}

func TestEncodeEndsWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := Encode(ctx, make([]byte, 1<<20), make([]byte, 1<<20)); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if _, err := Encode(t.Context(), make([]byte, MaxSize), make([]byte, 1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
}

// An old file that cannot be read is no corrupt delta: sending again would not help.
func TestReadErrorIsTold(t *testing.T) {
	old := program(rand.New(rand.NewPCG(1, 1)), 100_000)
	d := encode(t, old, old)
	broken := errors.New("bad sector")
	r, err := NewReader(failing{bytes.NewReader(old), broken}, int64(len(old)), bytes.NewReader(d), int64(len(d)), int64(len(old)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
}

type failing struct {
	io.ReaderAt
	err error
}

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestLikenessPrefersTheNearerVersion(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	first := program(r, 400_000)
	second := edit(r, first)
	third := append(bytes.Clone(second), program(r, 9000)...)
	far, near, same := Likeness(program(r, 400_000), third), Likeness(second, third), Likeness(third, third)
	if same != 1 || near >= same || far >= near || near < 0.5 {
		t.Errorf("a stranger %.2f, the version before %.2f, itself %.2f", far, near, same)
	}
	if got := Likeness(nil, nil); got != 0 {
		t.Errorf("nothing and nothing: %v", got)
	}
}

func FuzzReader(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 5))
	old := program(r, 9000)
	for range 4 {
		new := edit(r, old)
		f.Add(encode(f, old, new), uint32(len(new)))
	}
	f.Fuzz(func(t *testing.T, delta []byte, size uint32) {
		size %= 1 << 20
		got, err := apply(old, delta, int(size))
		if len(got) > int(size) || err == nil && len(got) != int(size) {
			t.Fatalf("%d bytes for %d, %v", len(got), size, err)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("an old file, more or less"), []byte("a new file, more or less"))
	f.Fuzz(func(t *testing.T, old, new []byte) {
		if got, err := apply(old, encode(t, old, new), len(new)); err != nil || !bytes.Equal(got, new) {
			t.Fatalf("%x, %v", got, err)
		}
	})
}
