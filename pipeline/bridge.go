package pipeline

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/bootstrap"
)

// Finder gets the program that serves on hosts of a system and architecture.
type Finder func(ctx context.Context, goos, goarch string) (*bootstrap.Helper, error)

// Bootstrap is the bridge for hosts where nothing was installed beforehand: it
// finds the program once per architecture and surveys each host once; a
// connection made anew uses what was found then.
func Bootstrap(t config.Target, find Finder) Bridge {
	b := &bootstrapper{target: t, find: find, helpers: map[string]func() (*bootstrap.Helper, error){}, lines: map[string]string{}}
	return b.bridge
}

type bootstrapper struct {
	target config.Target
	find   Finder

	mu      sync.Mutex
	helpers map[string]func() (*bootstrap.Helper, error)
	lines   map[string]string // by host name
}

func (b *bootstrapper) bridge(ctx context.Context, conn transport.Conn, h config.Host, install bool) (string, error) {
	if line := b.known(h.Name); line != "" {
		return line, nil
	}
	place, err := b.place(ctx, conn, h, install)
	if err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines[h.Name] = place.Serve
	return place.Serve, nil
}

func (b *bootstrapper) known(host string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[host]
}

func (b *bootstrapper) place(ctx context.Context, conn transport.Conn, h config.Host, install bool) (bootstrap.Place, error) {
	o := bootstrap.Options{Allow: b.target.Bootstrap.Allow, OS: "windows"}
	arch := h.Arch
	if b.target.Transport.Type == "local" {
		o.OS, o.Root, arch = runtime.GOOS, b.target.Transport.Root, runtime.GOARCH
	}
	if !install {
		place, err := bootstrap.Locate(ctx, conn, "", o)
		if errors.Is(err, bootstrap.ErrMissing) {
			err = ErrBare
		}
		return place, err
	}
	helper, err := b.helper(ctx, o.OS, arch)
	if err != nil {
		return bootstrap.Place{}, err
	}
	return bootstrap.Ensure(ctx, conn, helper, o)
}

func (b *bootstrapper) helper(ctx context.Context, goos, goarch string) (*bootstrap.Helper, error) {
	b.mu.Lock()
	once := b.helpers[goarch]
	if once == nil {
		once = sync.OnceValues(func() (*bootstrap.Helper, error) { return b.find(ctx, goos, goarch) })
		b.helpers[goarch] = once
	}
	b.mu.Unlock()
	return once()
}
