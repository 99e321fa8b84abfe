package store

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/go-shipper/shipper/delta"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// installed is a store with one release, and the next version of its file.
func installed(t *testing.T) (s *Store, r release.Release, old, new []byte) {
	t.Helper()
	s = open(t, t.TempDir())
	old = content(11, 300_000)
	new = append(bytes.Clone(old[:100_000]), append([]byte("one more line"), old[100_000:]...)...)
	files := []release.File{file("app.exe", old)}
	r = rel("1.0.0", files)
	pushed(t, s, old)
	if err := s.Install(t.Context(), app, r, files); err != nil {
		t.Fatal(err)
	}
	return s, r, old, new
}

func diff(t *testing.T, old, new []byte) (rpc.Put, []byte) {
	t.Helper()
	d, err := delta.Encode(t.Context(), old, new)
	if err != nil {
		t.Fatal(err)
	}
	return rpc.Put{
		Digest: release.Of(new), Size: int64(len(new)), Encoded: int64(len(d)), Encoding: rpc.EncodingDelta, Base: release.Of(old),
	}, d
}

func TestDeltaResumesAgainstTheSameBaseOnly(t *testing.T) {
	s, _, old, new := installed(t)
	p, d := diff(t, old, new)
	cut := io.MultiReader(bytes.NewReader(d[:len(d)/2]), errReader{})
	if _, err := s.Put(t.Context(), p, cut); err == nil {
		t.Fatal("a cut put succeeded")
	}
	s = open(t, s.root)
	part := missing(t, s, p.Digest)[0]
	want := rpc.Partial{Digest: p.Digest, Have: int64(len(d) / 2), Encoding: rpc.EncodingDelta, Encoded: int64(len(d)), Base: p.Base}
	if part != want {
		t.Fatalf("have %+v, want %+v", part, want)
	}
	other := []release.File{file("app.exe", content(12, 70_000))}
	pushed(t, s, content(12, 70_000))
	if err := s.Install(t.Context(), app, rel("0.9.0", other), other); err != nil {
		t.Fatal(err)
	}
	stranger := p
	stranger.Base, stranger.Offset = other[0].SHA256, part.Have
	if _, err := s.Put(t.Context(), stranger, bytes.NewReader(d[part.Have:])); rpc.CodeOf(err) != rpc.CodeConflict {
		t.Errorf("goes on against another base: %v", err)
	}
	p.Offset = part.Have
	got, err := s.Put(t.Context(), p, bytes.NewReader(d[part.Have:]))
	if err != nil || !got.Complete || len(missing(t, s, p.Digest)) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	files := []release.File{file("app.exe", new)}
	if err := s.Install(t.Context(), app, rel("1.1.0", files), files); err != nil {
		t.Error(err)
	}
}

func TestDeltasThatAreWrong(t *testing.T) {
	for name, tt := range map[string]struct {
		harm func(s *Store, file string, p *rpc.Put, d []byte)
		code string
	}{
		"base gone":      {func(_ *Store, file string, _ *rpc.Put, _ []byte) { os.Remove(file) }, rpc.CodeNotFound},
		"base unknown":   {func(_ *Store, _ string, p *rpc.Put, _ []byte) { p.Base = release.Of([]byte("x")) }, rpc.CodeNotFound},
		"base no digest": {func(_ *Store, _ string, p *rpc.Put, _ []byte) { p.Base = "../../x" }, rpc.CodeFailed},
		"base damaged": {func(_ *Store, file string, _ *rpc.Put, _ []byte) {
			b, _ := os.ReadFile(file)
			b[len(b)/3] ^= 4
			os.WriteFile(file, b, 0o600)
		}, rpc.CodeVerification},
		"base shorter":    {func(_ *Store, file string, _ *rpc.Put, _ []byte) { os.Truncate(file, 5) }, rpc.CodeVerification},
		"bit flipped":     {func(_ *Store, _ string, _ *rpc.Put, d []byte) { d[len(d)-4] ^= 1 }, rpc.CodeVerification},
		"header flipped":  {func(_ *Store, _ string, _ *rpc.Put, d []byte) { d[0] ^= 1 }, rpc.CodeVerification},
		"another content": {func(_ *Store, _ string, p *rpc.Put, _ []byte) { p.Digest = release.Of([]byte("y")) }, rpc.CodeVerification},
		"another size":    {func(_ *Store, _ string, p *rpc.Put, _ []byte) { p.Size++ }, rpc.CodeVerification},
	} {
		t.Run(name, func(t *testing.T) {
			s, r, old, new := installed(t)
			p, d := diff(t, old, new)
			tt.harm(s, filepath.Join(s.Path(app, r), "app.exe"), &p, d)
			if _, err := s.Put(t.Context(), p, bytes.NewReader(d)); rpc.CodeOf(err) != tt.code {
				t.Errorf("got %v", err)
			}
			if entries, err := os.ReadDir(s.staging()); err != nil || len(entries) != 0 {
				t.Errorf("left behind: %v, %v", entries, err)
			}
		})
	}
}

func TestBasesAreWhatReallyLiesThere(t *testing.T) {
	ctx := t.Context()
	s, r, old, _ := installed(t)
	newer, tool := content(13, 200_000), content(14, 100_000)
	files := []release.File{file("app.exe", newer), file("tool.exe", tool), file("small.exe", []byte("x")), file("page.html", content(15, 90_000))}
	r2 := rel("1.1.0", files)
	pushed(t, s, newer, tool, []byte("x"), content(15, 90_000))
	if err := s.Install(ctx, app, r2, files); err != nil {
		t.Fatal(err)
	}
	bases := func(order []release.Release, paths ...string) (got []release.Digest) {
		t.Helper()
		found, err := s.Bases(ctx, app, order, paths)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range found {
			got = append(got, b.Digest)
		}
		return got
	}
	equal := func(what string, got []release.Digest, want ...[]byte) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %d bases, want %d", what, len(got), len(want))
		}
		for i := range got {
			if got[i] != release.Of(want[i]) {
				t.Errorf("%s: base %d is another", what, i)
			}
		}
	}
	equal("stable first", bases([]release.Release{r2, r}, "app.exe"), newer, old)
	equal("the other way", bases([]release.Release{r, r2}, "app.exe"), old, newer)
	equal("another name", bases([]release.Release{r2, r}, "app-1.2.0.exe"), newer, tool, old)
	equal("nothing like it", bases([]release.Release{r2, r}, "app.dll"))
	if err := os.WriteFile(filepath.Join(s.Path(app, r2), "app.exe"), append(newer[1:], 0), 0o600); err != nil {
		t.Fatal(err)
	}
	equal("damaged", bases([]release.Release{r2, r}, "app.exe"), old)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Bases(cancelled, app, nil, []string{"app.exe"}); err == nil {
		t.Error("a cancelled call gave bases")
	}
}
