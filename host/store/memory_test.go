package store

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

const large = 60 << 20

// What the guard takes for an executable of 60 MB beyond what it has anyway.
// Its program and runtime need some 20 MB; 128 in all are promised.
const mayTake = 80 << 20

func TestLargeContentsTakeLittleMemory(t *testing.T) {
	s := open(t, t.TempDir())
	old := bytes.Repeat(content(21, 1<<20), large>>20)
	for i := 0; i < len(old); i += 1 << 20 {
		copy(old[i+1000:], content(uint64(i), 5000)) // no piece is like another
	}
	files := []release.File{file("app.exe", old)}
	pushed(t, s, old)
	if err := s.Install(t.Context(), app, rel("1.0.0", files), files); err != nil {
		t.Fatal(err)
	}
	new := append(bytes.Clone(old[:large/2]), append([]byte("one more line"), old[large/2:]...)...)
	d, delta := diff(t, old, new)
	packed := squeeze(t, old[:large/2])
	z := rpc.Put{Digest: release.Of(old[:large/2]), Size: large / 2, Encoded: int64(len(packed)), Encoding: rpc.EncodingZstd}
	for name, tt := range map[string]struct {
		put  rpc.Put
		data []byte
	}{"delta": {d, delta}, "zstd": {z, packed}} {
		t.Run(name, func(t *testing.T) {
			took := watched(s, func() {
				if got, err := s.Put(t.Context(), tt.put, bytes.NewReader(tt.data)); err != nil || !got.Complete {
					t.Errorf("%+v, %v", got, err)
				}
			})
			t.Logf("%d MB for %d MB", took>>20, tt.put.Size>>20)
			if took > mayTake {
				t.Errorf("took %d MB", took>>20)
			}
		})
	}
	runtime.KeepAlive(new)
}

// watched is how much memory f takes from the system at most, as seen at each
// write to the disk.
func watched(s *Store, f func()) uint64 {
	held := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.Sys - m.HeapReleased
	}
	debug.FreeOSMemory()
	before, most := held(), uint64(0)
	s.diskFull = func(*os.File, []byte) error {
		most = max(most, held())
		return nil
	}
	defer func() { s.diskFull = nil }()
	f()
	return max(most, before) - before
}
