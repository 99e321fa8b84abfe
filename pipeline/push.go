package pipeline

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
)

// pushPatience is how long a push tries to go on after the wire broke.
const pushPatience = 2 * time.Minute

// push brings a release to a host: only contents it has not yet, from the
// byte on that it has, and lets it assemble and verify the whole.
func (h *host) push(ctx context.Context, run string, b *packaging.Bundle, s *story) error {
	t, err := b.Target(h.target())
	if err != nil {
		return err
	}
	began := h.p.Now()
	told := journal.Push{Files: len(t.Files)}
	for _, f := range t.Files {
		told.Bytes += f.Size
	}
	err = h.call(ctx, pushPatience, func(c *rpc.Client) error {
		missing, err := c.Have(ctx, rpc.Have{Digests: digests(t.Files)})
		if err != nil {
			return err
		}
		for _, part := range missing.Missing {
			n, err := h.put(ctx, c, run, b, t.Files, part, s)
			told.Wire += n
			if err != nil {
				return err
			}
			told.Sent++
		}
		arrived := h.p.Now()
		defer func() { told.Install = h.p.Now().Sub(arrived).Seconds() }()
		install, err := h.install(run, b, t)
		if err != nil {
			return err
		}
		return c.Install(ctx, install)
	})
	if err != nil {
		return fmt.Errorf("push %s: %w", b.Release(), err)
	}
	told.Seconds = h.p.Now().Sub(began).Seconds()
	s.tell(journal.TypePush, h.Name, told)
	return nil
}

// put sends one content, compressed once for all hosts, and returns how many
// bytes travelled.
func (h *host) put(ctx context.Context, c *rpc.Client, run string, b *packaging.Bundle, files []release.File, part rpc.Partial, s *story) (int64, error) {
	size := sizeOf(files, part.Digest)
	enc, err := h.p.encoded(b, part.Digest)
	if err != nil {
		return 0, err
	}
	offset := part.Have
	if offset > int64(len(enc)) {
		offset = 0
	}
	body := &counted{r: bytesFrom(enc, offset), tick: func(n int64) {
		s.tell(journal.TypeProgress, h.Name, journal.Progress{What: "push", Done: offset + n, Total: int64(len(enc))})
	}}
	defer h.widen(ctx, c, int64(len(enc))-offset)()
	_, err = c.Put(ctx, rpc.Put{
		Service: h.p.Target.Service.Name, Run: run, Fence: h.fence,
		Digest: part.Digest, Size: size, Encoded: int64(len(enc)), Encoding: h.p.encoding(), Offset: offset,
	}, body)
	return body.n, err
}

// target is what the host runs: Windows, except where the runner is the host.
func (h *host) target() (goos, goarch string) {
	if h.p.Target.Transport.Type == "local" {
		return runtime.GOOS, runtime.GOARCH
	}
	return "windows", h.Arch
}

func digests(files []release.File) []release.Digest {
	seen := map[release.Digest]bool{}
	var out []release.Digest
	for _, f := range files {
		if !seen[f.SHA256] {
			seen[f.SHA256] = true
			out = append(out, f.SHA256)
		}
	}
	return out
}

func sizeOf(files []release.File, d release.Digest) int64 {
	for _, f := range files {
		if f.SHA256 == d {
			return f.Size
		}
	}
	return 0
}

// counted tells how far a reader got, at most once per progressStep bytes.
type counted struct {
	r    io.Reader
	n    int64
	last int64
	tick func(int64)
}

const progressStep = 256 << 10

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.n-c.last >= progressStep || err == io.EOF {
		c.last = c.n
		c.tick(c.n)
	}
	return n, err
}
