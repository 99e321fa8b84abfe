// Package helper has the builds of shipper-host for hosts, and finds one:
// embedded in this program, in the folder SHIPPER_HELPER_DIR, or built from
// this module's own source with the user's Go.
package helper

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// DirVariable names a folder with builds, as File names them, with or
// without .zst.
const DirVariable = "SHIPPER_HELPER_DIR"

// maxSize of a helper, unpacked, in bytes.
const maxSize = 64 << 20

//go:embed all:bin
var embedded embed.FS

// Helper is one build of shipper-host.
type Helper struct {
	Bytes  []byte
	SHA256 release.Digest
	Source string // where it came from, for people
}

// File is the name of a build, without .zst.
func File(goos, goarch string) string {
	name := "shipper-host_" + goos + "_" + goarch
	if goos == "windows" {
		name += ".exe"
	}
	return name
}

// Find returns the helper for hosts of goos and goarch. Errors are problem.Error.
func Find(ctx context.Context, goos, goarch string) (Helper, error) {
	bin, err := fs.Sub(embedded, "bin")
	if err != nil {
		return Helper{}, problem.Wrap(problem.Failed, err, "open embedded helpers", "")
	}
	return find(ctx, bin, os.Getenv(DirVariable), goos, goarch)
}

func find(ctx context.Context, bin fs.FS, dir, goos, goarch string) (Helper, error) {
	name := File(goos, goarch)
	h, err := load(bin, name, "embedded")
	if !errors.Is(err, fs.ErrNotExist) {
		return h, explain(err, name, "this shipper is damaged: install it again")
	}
	if dir != "" {
		h, err := load(os.DirFS(dir), name, filepath.Join(dir, name))
		return h, explain(err, name, DirVariable+" must name a folder with "+name)
	}
	exe, source, err := build(ctx, goos, goarch)
	if err != nil {
		return Helper{}, explain(err, name, "install Go, or set "+DirVariable+" to a folder with "+name+", or use a released shipper, which carries it")
	}
	return Helper{Bytes: exe, SHA256: release.Of(exe), Source: source}, nil
}

// load reads a build, compressed or not.
func load(dir fs.FS, name, source string) (Helper, error) {
	f, err := dir.Open(name + ".zst")
	compressed := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		f, err = dir.Open(name)
	}
	if err != nil {
		return Helper{}, err
	}
	defer f.Close()
	exe, err := readAll(f, compressed)
	if err != nil {
		return Helper{}, fmt.Errorf("read %s: %w", source, err)
	}
	return Helper{Bytes: exe, SHA256: release.Of(exe), Source: source}, nil
}

func readAll(r io.Reader, compressed bool) ([]byte, error) {
	if compressed {
		d, err := zstd.NewReader(r, zstd.WithDecoderMaxMemory(2*maxSize))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	}
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, maxSize+1))
	switch {
	case err != nil:
		return nil, err
	case n > maxSize:
		return nil, fmt.Errorf("more than %d bytes", maxSize)
	case n == 0:
		return nil, errors.New("empty")
	}
	return b.Bytes(), nil
}

func explain(err error, name, hint string) error {
	if err == nil {
		return nil
	}
	return problem.Wrap(problem.Failed, err, "find the helper "+name, hint)
}
