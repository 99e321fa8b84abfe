package pipeline

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release"
)

// bundle opens the given bundle, takes one from the shelf, or builds HEAD, if
// there is all that the hosts will ask for: who forgot a password is not told
// after minutes of building.
func (p *Pipeline) bundle(ctx context.Context, req DeployRequest, s *story) (*packaging.Bundle, error) {
	if p.Logon != nil {
		if err := p.Logon(); err != nil {
			return nil, err
		}
	}
	path := req.Bundle
	switch {
	case path != "":
	case req.Release != "":
		return packaging.Take(ctx, p.shelf(), p.Target.Service.Name, req.Release)
	default:
		var err error
		if err = p.hooksAt(ctx, s, "beforeBuild", "deploy", Result{}, nil); err != nil {
			return nil, err
		}
		built := Result{}
		if path, built.Release, err = p.build(ctx, req.Dir, "", s); err != nil {
			return nil, err
		}
		p.built = path
		if err = p.hooksAt(ctx, s, "afterBuild", "deploy", built, nil); err != nil {
			return nil, err
		}
	}
	p.enc.folder = filepath.Dir(path)
	b, err := packaging.Open(path)
	if err != nil {
		return nil, err
	}
	if name := b.Manifest.Name; name != p.Target.Service.Name {
		return nil, errors.Join(problem.New(problem.Usage, "give the bundle of this service, or the configuration of that one",
			"%s: bundle of service %q, but %s describes %q", path, name, p.Target.Path, p.Target.Service.Name), b.Close())
	}
	return b, nil
}

func (p *Pipeline) shelf() packaging.Shelf {
	if p.Shelf != nil {
		return p.Shelf
	}
	return packaging.Folder(p.Target.Build.Dist)
}

// forwards refuses a version below the one that some host has as stable.
func forwards(r release.Release, before map[string]rpc.ServiceStatus, req DeployRequest) error {
	if req.AllowDowngrade {
		return onlyForward(r, before)
	}
	for _, host := range slices.Sorted(maps.Keys(before)) {
		st := before[host]
		stable := st.Slots[st.Stable].Release
		if st.Stable != "" && packaging.Backwards(stable.Version, r.Version) {
			return problem.New(problem.Usage, "`shipper rollback` goes back to a release that the hosts keep; --allow-downgrade deploys this one",
				"deploy %s: %s runs %s, which is newer", r, host, stable)
		}
	}
	return nil
}
