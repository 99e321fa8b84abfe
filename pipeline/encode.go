package pipeline

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
)

// encodings compresses each content once, however many hosts want it.
type encodings struct {
	mu   sync.Mutex
	done map[release.Digest]func() ([]byte, error)
}

func (p *Pipeline) encoded(b *packaging.Bundle, d release.Digest) ([]byte, error) {
	p.enc.mu.Lock()
	if p.enc.done == nil {
		p.enc.done = map[release.Digest]func() ([]byte, error){}
	}
	once := p.enc.done[d]
	if once == nil {
		once = sync.OnceValues(func() ([]byte, error) { return p.encode(b, d) })
		p.enc.done[d] = once
	}
	p.enc.mu.Unlock()
	return once()
}

// warm reads the contents of a target while the hosts are being reached; what
// is compressed is compressed for those who miss it.
func (p *Pipeline) warm(b *packaging.Bundle, goos, goarch string) {
	t, err := b.Target(goos, goarch)
	if err != nil || !p.Plain {
		return
	}
	for _, f := range t.Files {
		go p.encoded(b, f.SHA256) //nolint:errcheck // the push meets the same error
	}
}

// encode gives the bytes that travel for a content.
func (p *Pipeline) encode(b *packaging.Bundle, d release.Digest) ([]byte, error) {
	if !p.Plain {
		return compress(b, d)
	}
	r, err := b.Content(d)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	defer r.Close()
	return io.ReadAll(r)
}

// encoding is the name of what encode does.
func (p *Pipeline) encoding() string {
	if p.Plain {
		return ""
	}
	return "zstd"
}

func compress(b *packaging.Bundle, d release.Digest) ([]byte, error) {
	r, err := b.Content(d)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	defer r.Close()
	var out bytes.Buffer
	// One goroutine: the bytes must be the same for every host and resume.
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if _, err := io.Copy(w, r); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

func bytesFrom(b []byte, offset int64) io.Reader { return bytes.NewReader(b[offset:]) }
