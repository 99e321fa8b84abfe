// Command pack fills host/helper/bin with the Windows builds of shipper-host
// that shipper carries inside: `go run ./host/helper/pack`, at the top of the
// module.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/klauspost/compress/zstd"

	"github.com/go-shipper/shipper/host/helper"
)

// Limits of a helper in bytes: on the host, and on the way to it.
const (
	maxRaw    = 10_000_000
	maxPushed = 4_000_000
)

func main() {
	out := flag.String("o", filepath.Join("host", "helper", "bin"), "folder to write to")
	source := flag.String("C", ".", "top of the module")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, arch := range []string{"amd64", "arm64"} {
		if err := pack(ctx, *source, *out, arch); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
	}
}

func pack(ctx context.Context, source, dir, arch string) error {
	tmp, err := os.MkdirTemp("", "shipper-helper-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	name := helper.File("windows", arch)
	built := filepath.Join(tmp, name)
	if err := helper.Build(ctx, source, "windows", arch, built); err != nil {
		return err
	}
	exe, err := os.ReadFile(built)
	if err != nil {
		return err
	}
	pushed, err := gzipped(exe)
	if err != nil {
		return err
	}
	if len(exe) > maxRaw || pushed > maxPushed {
		return fmt.Errorf("%s is too large: %d bytes of %d, pushed as %d of %d", name, len(exe), maxRaw, pushed, maxPushed)
	}
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	packed := w.EncodeAll(exe, nil)
	fmt.Printf("%s: %.1f MB, embedded %.1f MB, pushed %.1f MB\n", name, mb(len(exe)), mb(len(packed)), mb(pushed))
	return replace(filepath.Join(dir, name+".zst"), packed)
}

// gzipped is how many bytes travel to a host.
func gzipped(exe []byte) (int, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return 0, err
	}
	_, err = w.Write(exe)
	err = errors.Join(err, w.Close())
	return b.Len(), err
}

func replace(file string, content []byte) error {
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, content, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

func mb(n int) float64 { return float64(n) / 1e6 }
