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
	l := &cargo{h: h, run: run, b: b, s: s, files: t.Files, whole: map[release.Digest]bool{}, told: journal.Push{Files: len(t.Files)}}
	for _, f := range t.Files {
		l.told.Bytes += f.Size
	}
	do := func(c *rpc.Client) error {
		if err := l.pull(ctx, c); err != nil {
			return err
		}
		if err := l.put(ctx, c); err != nil {
			return err
		}
		arrived := h.p.Now()
		defer func() { l.told.Install = h.p.Now().Sub(arrived).Seconds() }()
		install, err := h.install(run, b, t)
		if err != nil {
			return err
		}
		return c.Install(ctx, install)
	}
	err = h.inSession(ctx, run, func() error { return h.call(ctx, pushPatience, do) })
	if err != nil {
		return fmt.Errorf("push %s: %w", b.Release(), err)
	}
	l.told.Seconds = h.p.Now().Sub(began).Seconds()
	s.tell(journal.TypePush, h.Name, l.told)
	return nil
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

func paths(files []release.File) []string {
	var out []string
	for _, f := range files {
		if f.Size >= minDelta {
			out = append(out, f.Path)
		}
	}
	return out
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
