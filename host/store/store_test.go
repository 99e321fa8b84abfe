package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

const app = "orders"

func open(t *testing.T, root string) *Store {
	t.Helper()
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// content is bytes that compress somewhat, the same for the same seed.
func content(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(16))
	}
	return b
}

func file(path string, b []byte) release.File {
	return release.File{Path: path, Size: int64(len(b)), SHA256: release.Of(b)}
}

func squeeze(t *testing.T, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

func put(s *Store, b, encoded []byte, encoding string, offset int64) (rpc.PutReply, error) {
	p := rpc.Put{Digest: release.Of(b), Size: int64(len(b)), Encoded: int64(len(encoded)), Encoding: encoding, Offset: offset}
	return s.Put(context.Background(), p, bytes.NewReader(encoded[offset:]))
}

func pushed(t *testing.T, s *Store, contents ...[]byte) {
	t.Helper()
	for _, b := range contents {
		if got, err := put(s, b, b, "", 0); err != nil || !got.Complete {
			t.Fatalf("put: %+v, %v", got, err)
		}
	}
}

func rel(version string, files []release.File) release.Release {
	return release.Release{Version: version, Digest: release.ContentDigest(files)}
}

func missing(t *testing.T, s *Store, d ...release.Digest) []rpc.Partial {
	t.Helper()
	got, err := s.Have(d)
	if err != nil {
		t.Fatal(err)
	}
	return got.Missing
}

func TestPutResumesInBothEncodings(t *testing.T) {
	for _, encoding := range []string{"", "zstd"} {
		s := open(t, t.TempDir())
		b := content(1, 3<<20)
		encoded := b
		if encoding == "zstd" {
			encoded = squeeze(t, b)
		}
		p := rpc.Put{Digest: release.Of(b), Size: int64(len(b)), Encoded: int64(len(encoded)), Encoding: encoding}
		cut := io.MultiReader(bytes.NewReader(encoded[:len(encoded)/2]), errReader{})
		if _, err := s.Put(context.Background(), p, cut); err == nil {
			t.Fatal("a cut put succeeded")
		}
		s = open(t, s.root) // the guard was restarted meanwhile
		have := missing(t, s, p.Digest)
		if len(have) != 1 || have[0].Have != int64(len(encoded)/2) {
			t.Fatalf("%q: have %+v", encoding, have)
		}
		if _, err := put(s, b, encoded, encoding, have[0].Have+1); rpc.CodeOf(err) != rpc.CodeConflict {
			t.Errorf("%q: a gap: %v", encoding, err)
		}
		got, err := put(s, b, encoded, encoding, have[0].Have)
		if err != nil || !got.Complete || len(missing(t, s, p.Digest)) != 0 {
			t.Errorf("%q: %+v, %v", encoding, got, err)
		}
		if parts, _ := filepath.Glob(filepath.Join(s.staging(), "*.part")); len(parts) != 0 {
			t.Errorf("%q: parts remain: %v", encoding, parts)
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("cable cut") }

func TestPutsThatAreWrong(t *testing.T) {
	b := content(2, 1<<20)
	flipped := bytes.Clone(b)
	flipped[99] ^= 1
	bomb := squeeze(t, make([]byte, 64<<20))
	tests := []struct {
		name string
		put  rpc.Put
		data []byte
		code string
	}{
		{"other bytes", rpc.Put{Digest: release.Of(b), Size: int64(len(b)), Encoded: int64(len(b))}, flipped, rpc.CodeVerification},
		{"not zstd", rpc.Put{Digest: release.Of(b), Size: int64(len(b)), Encoded: int64(len(b)), Encoding: "zstd"}, b, rpc.CodeVerification},
		{"a bomb", rpc.Put{Digest: release.Of(b), Size: int64(len(b)), Encoded: int64(len(bomb)), Encoding: "zstd"}, bomb, rpc.CodeVerification},
		{"too long", rpc.Put{Digest: release.Of(b), Size: 5, Encoded: int64(len(b))}, b, rpc.CodeFailed},
		{"digest is a path", rpc.Put{Digest: "../../x", Size: 1, Encoded: 1}, []byte("x"), rpc.CodeFailed},
		{"unknown encoding", rpc.Put{Digest: release.Of(b), Encoding: "br"}, nil, rpc.CodeUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			if _, err := s.Put(context.Background(), tt.put, bytes.NewReader(tt.data)); rpc.CodeOf(err) != tt.code {
				t.Errorf("got %v", err)
			}
			if entries, err := os.ReadDir(s.staging()); err != nil || len(entries) != 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

func TestDiskFullLeavesNothingStartable(t *testing.T) {
	s := open(t, t.TempDir())
	b := content(3, 1<<20)
	files := []release.File{file("a.exe", b)}
	full := func(*os.File, []byte) error { return &os.PathError{Op: "write", Path: "x", Err: errDiskFull} }
	s.diskFull = full
	if _, err := put(s, b, b, "", 0); rpc.CodeOf(err) != rpc.CodeDiskFull {
		t.Errorf("put: %v", err)
	}
	if len(missing(t, s, files[0].SHA256)) != 1 {
		t.Error("the content counts as present")
	}
	s.diskFull = nil
	pushed(t, s, b)
	s.diskFull = full
	if err := s.Install(context.Background(), app, rel("1.0.0", files), files); rpc.CodeOf(err) != rpc.CodeDiskFull {
		t.Errorf("install: %v", err)
	}
	if entries, _ := os.ReadDir(s.releases(app)); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	s.diskFull = nil
	if err := s.Install(context.Background(), app, rel("1.0.0", files), files); err != nil {
		t.Errorf("install with room again: %v", err)
	}
}

func TestInstallVerifyAndReuse(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	exe, lib := content(4, 100_000), []byte("the same in both")
	files := []release.File{file("a.exe", exe), file("lib/x.txt", lib), file("lib/copy.txt", lib)}
	r := rel("1.0.0+build.7", files)
	if err := s.Install(ctx, app, r, files); rpc.CodeOf(err) != rpc.CodeNotFound {
		t.Errorf("before the push: %v", err)
	}
	pushed(t, s, exe, lib)
	for range 2 {
		if err := s.Install(ctx, app, r, files); err != nil {
			t.Fatal(err)
		}
	}
	if entries, _ := os.ReadDir(s.staging()); len(entries) != 0 {
		t.Errorf("staging keeps %v", entries)
	}
	other := open(t, s.root)
	if got := missing(t, other, files[0].SHA256, files[1].SHA256); len(got) != 0 {
		t.Errorf("would travel again: %v", got)
	}
	files2 := []release.File{file("b.exe", exe), file("lib/x.txt", lib)}
	if err := other.Install(ctx, "second", rel("2.0.0", files2), files2); err != nil {
		t.Errorf("from another service's release: %v", err)
	}
	different := append(files[:2:2], file("lib/copy.txt", exe))
	if err := s.Install(ctx, app, r, different); rpc.CodeOf(err) != rpc.CodeConflict {
		t.Errorf("other files under the same name: %v", err)
	}
	if err := s.Verify(ctx, app, r); err != nil {
		t.Error(err)
	}
	if _, err := s.Remove(app, r); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(ctx, app, r); rpc.CodeOf(err) != rpc.CodeNotFound {
		t.Errorf("after the removal: %v", err)
	}
	if got := missing(t, s, files[0].SHA256); len(got) != 1 {
		t.Error("a removed release still counts")
	}
}

func TestDamageIsSeenAndMended(t *testing.T) {
	ctx := context.Background()
	for name, harm := range map[string]func(dir string) error{
		"changed": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "a.exe"), []byte("evil program"), 0o600)
		},
		"missing":          func(dir string) error { return os.Remove(filepath.Join(dir, "a.exe")) },
		"manifest missing": func(dir string) error { return os.Remove(filepath.Join(dir, manifestName)) },
		"manifest changed": func(dir string) error {
			path := filepath.Join(dir, manifestName)
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(b, []byte("a.exe"), []byte("b.exe"), 1), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			b := []byte("good program")
			files := []release.File{file("a.exe", b)}
			r := rel("1.0.0", files)
			pushed(t, s, b)
			if err := s.Install(ctx, app, r, files); err != nil {
				t.Fatal(err)
			}
			if err := harm(s.Path(app, r)); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(ctx, app, r); err == nil {
				t.Fatal("not seen")
			}
			err := s.Install(ctx, app, r, files)
			if name == "changed" && rpc.CodeOf(err) != rpc.CodeNotFound {
				t.Errorf("assembled from damaged contents: %v", err)
			}
			pushed(t, s, b)
			if err := s.Install(ctx, app, r, files); err != nil {
				t.Fatal(err)
			}
			if err := s.Verify(ctx, app, r); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPathsThatAreRefused(t *testing.T) {
	s := open(t, t.TempDir())
	b := []byte("x")
	pushed(t, s, b)
	for _, path := range []string{
		"", ".", "..", "../x", "a/../../x", "/etc/x", `a\b`, `C:\x`, "C:x", "a:stream", "CON", "nul", "aux.txt", "lpt1", "COM1.exe",
		"a.", "a ", "a./b", "a//b", "a/", "x\x00y", "a?", strings.Repeat("x", 400), manifestName, ".SHIPPER-manifest.json",
	} {
		files := []release.File{file(path, b)}
		if err := s.Install(context.Background(), app, rel("1.0.0", files), files); err == nil {
			t.Errorf("path %q is accepted", path)
		}
	}
	for name, files := range map[string][]release.File{
		"none":            nil,
		"twice":           {file("a", b), file("a", b)},
		"case":            {file("a", b), file("A", b)},
		"file and folder": {file("a", b), file("a/b", b)},
		"no digest":       {{Path: "a", Size: 1}},
	} {
		if err := s.Install(context.Background(), app, release.Release{Version: "1", Digest: release.Of(nil)}, files); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	for _, version := range []string{"../1", "1/2", `1\2`, "", "1:2"} {
		files := []release.File{file("a", b)}
		r := release.Release{Version: version, Digest: release.ContentDigest(files)}
		if err := s.Install(context.Background(), app, r, files); version != "" && err == nil {
			t.Errorf("version %q is accepted", version)
		}
	}
}

func TestOpenSweepsWhatWasInterrupted(t *testing.T) {
	s := open(t, t.TempDir())
	b := []byte("x")
	files := []release.File{file("a", b)}
	r := rel("1.0.0-rc.tmp1", files)
	pushed(t, s, b)
	if err := s.Install(context.Background(), app, r, files); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{r.Dir() + ".tmp123", "2.0.0-0123456789ab"} {
		if err := os.MkdirAll(filepath.Join(s.releases(app), name, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got, err := open(t, s.root).Releases(app)
	if err != nil || len(got) != 1 || got[0].Release != r {
		t.Errorf("releases: %+v, %v", got, err)
	}
	if entries, _ := os.ReadDir(s.releases(app)); len(entries) != 1 {
		t.Errorf("not swept: %v", entries)
	}
}

func TestPutsAtTheSameTime(t *testing.T) {
	s := open(t, t.TempDir())
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			b := content(uint64(i%3), 200_000)
			if got, err := put(s, b, b, "", 0); err != nil || !got.Complete {
				t.Errorf("put %d: %+v, %v", i, got, err)
			}
		})
	}
	all.Wait()
	if len(s.locks) != 0 {
		t.Errorf("%d locks remain", len(s.locks))
	}
}

func TestStagingIsGivenUp(t *testing.T) {
	s := open(t, t.TempDir())
	b := []byte("x")
	pushed(t, s, b)
	if err := s.PruneStaging(time.Now().Add(-time.Hour)); err != nil || len(missing(t, s, release.Of(b))) != 0 {
		t.Errorf("fresh content went: %v", err)
	}
	if err := s.PruneStaging(time.Now().Add(time.Hour)); err != nil || len(missing(t, s, release.Of(b))) != 1 {
		t.Errorf("old content stays: %v", err)
	}
}
