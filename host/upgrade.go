package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/store"
	"github.com/go-shipper/shipper/release"
)

// maxHelpers bounds how many helpers the guard remembers.
const maxHelpers = 100

// helpers is what controllers told about the programs in bin: builds carry no
// version, so that equal source gives equal bytes.
type helpers struct {
	Versions map[release.Digest]string `json:"versions"` // of the controller that brought each
}

// changeRouter lets the router be followed by one of the same program, or of
// the newest that any controller brought. It is never an older one.
func (g *Guard) changeRouter(ctx context.Context, p rpc.ChangeRouter) (rpc.RouterState, error) {
	g.routerLock <- struct{}{}
	defer func() { <-g.routerLock }()
	if !g.hasRouter(ctx) {
		return rpc.RouterState{}, rpc.Errorf(rpc.CodeNotFound, "deploy a service with traffic.router: embedded first", "no router is on this host")
	}
	known, err := g.learnHelper(p.Helper, p.Version)
	if err != nil {
		return rpc.RouterState{}, err
	}
	before, err := g.routerState(ctx, known)
	if err != nil || p.Do == rpc.RouterLook {
		return before, err
	}
	exe := ""
	if p.Do == rpc.RouterUpgrade {
		if exe = g.newestHelper(known, before); exe == "" {
			return before, nil
		}
	}
	g.log().Info("the router is followed", "by", p.By, "do", p.Do, "executable", exe)
	if err := g.followRouter(ctx, exe); err != nil {
		return before, err
	}
	after, err := g.routerState(ctx, known)
	after.Changed = true
	return after, err
}

func (g *Guard) routerState(ctx context.Context, known helpers) (rpc.RouterState, error) {
	self, err := g.opts.Router.Self(ctx)
	if err != nil {
		return rpc.RouterState{}, fmt.Errorf("ask the router: %w", err)
	}
	st := rpc.RouterState{Service: routerService(self.Name), PID: self.PID, Finishing: self.Finishing}
	spec, err := g.opts.SCM.Spec(ctx, st.Service)
	if err != nil {
		return st, err
	}
	if st.Helper, err = store.FileDigest(spec.Executable); err != nil {
		return st, err
	}
	st.Version = known.Versions[st.Helper]
	return st, nil
}

// learnHelper remembers which version a helper is of. The oldest controller
// that brings the same bytes names them.
func (g *Guard) learnHelper(helper release.Digest, version string) (helpers, error) {
	doc := document[helpers]{path: filepath.Join(g.opts.Layout.Guard(), "helpers.json"), wrote: g.wrote}
	known, _, err := doc.load()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return known, err
	}
	old, have := known.Versions[helper]
	if helper == "" || version == "" || have && release.CompareVersions(old, version) <= 0 {
		return known, nil
	}
	if known.Versions == nil {
		known.Versions = map[release.Digest]string{}
	}
	for digest := range known.Versions {
		if _, err := os.Stat(g.helperPath(digest)); err != nil || len(known.Versions) >= maxHelpers {
			delete(known.Versions, digest)
		}
	}
	known.Versions[helper] = version
	return known, doc.save(known)
}

// helperPath is where a helper lies, named as the guard's own program is.
func (g *Guard) helperPath(digest release.Digest) string {
	return filepath.Join(g.opts.Layout.Programs, "bin", strings.TrimPrefix(string(digest), "sha256:"), filepath.Base(g.opts.Executable))
}

// newestHelper is the path of the newest one that is whole, if it is newer
// than what the router runs.
func (g *Guard) newestHelper(known helpers, now rpc.RouterState) string {
	best, path := now.Version, ""
	for digest, version := range known.Versions {
		if digest == now.Helper || best != "" && release.CompareVersions(version, best) <= 0 {
			continue
		}
		exe := g.helperPath(digest)
		if got, err := store.FileDigest(exe); err != nil || got != digest {
			continue
		}
		best, path = version, exe
	}
	return path
}
