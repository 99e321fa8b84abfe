package bootstrap

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"sync"
	"time"

	"github.com/go-shipper/shipper/release"
)

// Helper is an executable for hosts of one system and architecture. It is
// compressed once, for all hosts.
type Helper struct {
	digest     release.Digest
	arch       string
	archive    func() []byte // a gzip-compressed tar, which tar.exe recognizes
	compressed func() []byte // plain gzip
	text       func() []byte // lines of base64
}

// NewHelper takes an executable for goos and goarch.
func NewHelper(exe []byte, goos, goarch string) *Helper {
	return &Helper{
		digest:     release.Of(exe),
		arch:       goarch,
		archive:    sync.OnceValue(func() []byte { return packTar(exe, linesFor(goos).file()) }),
		compressed: sync.OnceValue(func() []byte { return packGzip(exe) }),
		text:       sync.OnceValue(func() []byte { return packText(exe) }),
	}
}

// Digest is that of the executable.
func (h *Helper) Digest() release.Digest { return h.digest }

// payload is what the way's command reads from stdin.
func (h *Helper) payload(way string) []byte {
	switch way {
	case WayPowerShell:
		return h.compressed()
	case WayCertutil:
		return h.text()
	}
	return h.archive()
}

// packText makes lines that findstr passes on: it stops at long ones, and
// waits for ever for the end of a last line without one.
func packText(exe []byte) []byte {
	const width = 64
	text := base64.StdEncoding.EncodeToString(exe)
	var b bytes.Buffer
	for ; len(text) > 0; text = text[min(width, len(text)):] {
		b.WriteString(text[:min(width, len(text))] + "\r\n")
	}
	return b.Bytes()
}

func packTar(exe []byte, name string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	header := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(exe)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	mustWrite(w.WriteHeader(header))
	_, err := w.Write(exe)
	mustWrite(err)
	mustWrite(w.Close())
	return packGzip(b.Bytes())
}

func packGzip(p []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	mustWrite(err)
	_, err = w.Write(p)
	mustWrite(err)
	mustWrite(w.Close())
	return b.Bytes()
}

// mustWrite is for writes to memory, which fail by a mistake in here only.
func mustWrite(err error) {
	if err != nil {
		panic(err)
	}
}

func newName() string {
	var b [6]byte
	rand.Read(b[:]) //nolint:errcheck // never fails
	return hex.EncodeToString(b[:])
}
