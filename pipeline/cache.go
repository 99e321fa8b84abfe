package pipeline

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/go-shipper/shipper/release"
)

// cacheLimit is how many bytes of what was pushed are kept.
const cacheLimit = 1 << 30

// cache is a folder with what was pushed before: contents, on which deltas
// build, and the deltas themselves. What is used least goes first. A folder
// that is empty, full or gone costs time and nothing else.
type cache struct {
	dir   string // empty: nothing is kept
	limit int64
}

func contentName(d release.Digest) string { return string(d) + ".zst" }
func deltaName(base, content release.Digest) string {
	return string(base) + "-" + string(content) + ".delta"
}

// content returns a content only if its bytes have its digest.
func (c cache) content(d release.Digest) ([]byte, bool) {
	packed, ok := c.load(contentName(d))
	if !ok {
		return nil, false
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxContent))
	if err != nil {
		return nil, false
	}
	defer r.Close()
	b, err := r.DecodeAll(packed, nil)
	if err != nil || release.Of(b) != d {
		c.drop(contentName(d))
		return nil, false
	}
	return b, true
}

// load reads a file and marks it as used.
func (c cache) load(name string) ([]byte, bool) {
	if c.dir == "" {
		return nil, false
	}
	path := filepath.Join(c.dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	_ = os.Chtimes(path, time.Time{}, time.Now()) // what looks old goes earlier, that is all
	return b, true
}

func (c cache) has(name string) bool {
	if c.dir == "" {
		return false
	}
	info, err := os.Lstat(filepath.Join(c.dir, name))
	return err == nil && info.Mode().IsRegular()
}

func (c cache) drop(name string) {
	if c.dir != "" {
		_ = os.Remove(filepath.Join(c.dir, name)) // it is overwritten otherwise
	}
}

// save writes a file whole or not at all, and makes room for it.
func (c cache) save(name string, b []byte) error {
	if c.dir == "" || int64(len(b)) > c.limit {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return fmt.Errorf("create cache: %w", err)
	}
	f, err := os.CreateTemp(c.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("write cache: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write cache: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(c.dir, name)); err != nil {
		return fmt.Errorf("write cache: %w", err)
	}
	return c.prune()
}

// prune removes what was not used for longest until the rest fits, and what a
// program that was killed left half written.
func (c cache) prune() error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("prune cache: %w", err)
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int {
		return cmp.Or(b.ModTime().Compare(a.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	var sum int64
	for _, f := range files {
		sum += f.Size()
		if half := bytes.HasPrefix([]byte(f.Name()), []byte(".new-")); sum > c.limit || half && time.Since(f.ModTime()) > time.Hour {
			c.drop(f.Name())
		}
	}
	return nil
}
