package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
)

// encodings makes each encoding once, however many hosts want it.
type encodings struct {
	mu     sync.Mutex
	done   map[string]func() (any, error)
	delta  sync.Mutex // held while a delta is made: each takes memory
	folder string     // where the bundle lies, and perhaps older ones
}

// once returns what build made for key. What failed is tried again.
func once[T any](e *encodings, key string, build func() (T, error)) (T, error) {
	e.mu.Lock()
	if e.done == nil {
		e.done = map[string]func() (any, error){}
	}
	get := e.done[key]
	if get == nil {
		get = sync.OnceValues(func() (any, error) { return build() })
		e.done[key] = get
	}
	e.mu.Unlock()
	v, err := get()
	if err != nil {
		e.forget(key)
	}
	out, _ := v.(T)
	return out, err
}

func (e *encodings) forget(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.done, key)
}

// encoded gives the bytes of a content that travels whole.
func (p *Pipeline) encoded(b *packaging.Bundle, f release.File) ([]byte, error) {
	return once(&p.enc, string(f.SHA256), func() ([]byte, error) {
		if p.Plain {
			return read(b, f)
		}
		return compress(b, f.SHA256)
	})
}

// warm reads the contents of a target while the hosts are being reached; what
// is compressed is compressed for those who miss it.
func (p *Pipeline) warm(b *packaging.Bundle, goos, goarch string) {
	t, err := b.Target(goos, goarch)
	if err != nil || !p.Plain {
		return
	}
	for _, f := range t.Files {
		go p.encoded(b, f) //nolint:errcheck // the push meets the same error
	}
}

// encoding is the name of what encoded does.
func (p *Pipeline) encoding() string {
	if p.Plain {
		return rpc.EncodingRaw
	}
	return rpc.EncodingZstd
}

func read(b *packaging.Bundle, f release.File) ([]byte, error) {
	r, err := b.Content(f.SHA256)
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	defer r.Close()
	var out bytes.Buffer
	out.Grow(int(min(f.Size, maxContent)) + bytes.MinRead)
	if _, err := out.ReadFrom(r); err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	return out.Bytes(), nil
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

// keep puts what was pushed aside, so that the next release can travel as
// what differs from it.
func (p *Pipeline) keep(ctx context.Context, b *packaging.Bundle, files []release.File) error {
	for _, f := range files {
		if p.Plain || p.Cache == "" || f.Size < minDelta || f.Size > maxContent || p.cache().has(contentName(f.SHA256)) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		packed, err := p.encoded(b, f)
		if err == nil {
			err = p.cache().save(contentName(f.SHA256), packed)
		}
		if err != nil {
			return fmt.Errorf("keep %s for later: %w", f.Path, err)
		}
	}
	return nil
}

func (p *Pipeline) cache() cache { return cache{dir: p.Cache, limit: cacheLimit} }
