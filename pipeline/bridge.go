package pipeline

import (
	"context"
	"errors"
	"runtime"
	"sync"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/bootstrap"
)

// Finder gets the program that serves on hosts of a system and architecture.
type Finder func(ctx context.Context, goos, goarch string) (*bootstrap.Helper, error)

// Brought tells which program the bridge placed on a host; none where somebody
// else did.
type Brought func(host string) release.Digest

// Bootstrap is the bridge for hosts where nothing was installed beforehand: it
// finds the program once per architecture and surveys each host once; a
// connection made anew uses what was found then.
func Bootstrap(t config.Target, find Finder) (Bridge, Brought) {
	b := newBootstrapper(t, find)
	return b.bridge, b.told
}

type bootstrapper struct {
	target config.Target
	find   Finder

	mu      sync.Mutex
	helpers map[string]func() (*bootstrap.Helper, error)
	lines   map[string]string // by host name
	brought map[string]release.Digest
}

func newBootstrapper(t config.Target, find Finder) *bootstrapper {
	return &bootstrapper{
		target: t, find: find,
		helpers: map[string]func() (*bootstrap.Helper, error){}, lines: map[string]string{}, brought: map[string]release.Digest{},
	}
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
	o, arch := options(b.target, h)
	if preinstalled := b.target.Bootstrap.Helper.Preinstalled; preinstalled || !install {
		place, err := bootstrap.Locate(ctx, conn, "", o)
		switch missing := errors.Is(err, bootstrap.ErrMissing); {
		case missing && install:
			err = problem.New(problem.Failed, `put it into %ProgramFiles%\shipper\bin\SHA256\shipper-host.exe by the means you chose, or leave out bootstrap.helper`,
				"find the preinstalled helper on %s: there is none whose folder tells its digest", h.Name)
		case missing:
			err = ErrBare
		}
		return place, err
	}
	helper, err := b.helper(ctx, o.OS, arch)
	if err != nil {
		return bootstrap.Place{}, err
	}
	place, err := bootstrap.Ensure(ctx, conn, helper, o)
	if err == nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.brought[h.Name] = helper.Digest()
	}
	return place, err
}

func (b *bootstrapper) told(host string) release.Digest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.brought[host]
}

func options(t config.Target, h config.Host) (o bootstrap.Options, arch string) {
	if t.Transport.Type == "local" {
		return bootstrap.Options{Allow: t.Bootstrap.Allow, OS: runtime.GOOS, Root: t.Transport.Root}, runtime.GOARCH
	}
	return bootstrap.Options{Allow: t.Bootstrap.Allow, OS: "windows"}, h.Arch
}

// Leaver takes off a host what the bridge placed there.
type Leaver func(ctx context.Context, conn transport.Conn, h config.Host) error

// Leave undoes Bootstrap on a host on which no service is left.
func Leave(t config.Target) Leaver {
	return func(ctx context.Context, conn transport.Conn, h config.Host) error {
		o, _ := options(t, h)
		o.Keep = t.Bootstrap.Helper.Preinstalled // whoever brought it takes it away
		return bootstrap.Leave(ctx, conn, o)
	}
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
