package release

import (
	"slices"
	"testing"
)

func TestContentDigestSeesEveryChangeAndNoOrder(t *testing.T) {
	files := []File{{"b.txt", 2, Of([]byte("b"))}, {"a/x.exe", 1, Of([]byte("a"))}}
	want := ContentDigest(files)
	if want != Of([]byte("a/x.exe\x001\x00"+string(files[1].SHA256)+"\nb.txt\x002\x00"+string(files[0].SHA256)+"\n")) {
		t.Errorf("digest is %s: the rule changed", want)
	}
	reversed := slices.Clone(files)
	slices.Reverse(reversed)
	if ContentDigest(reversed) != want {
		t.Error("the order of files matters")
	}
	if files[0].Path != "b.txt" {
		t.Error("the argument was sorted in place")
	}
	for i, change := range []func(*File){
		func(f *File) { f.Path = "c.txt" }, func(f *File) { f.Size++ }, func(f *File) { f.SHA256 = Of(nil) },
	} {
		other := slices.Clone(files)
		change(&other[0])
		if ContentDigest(other) == want {
			t.Errorf("change %d is not seen", i)
		}
	}
}
