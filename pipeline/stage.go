package pipeline

import (
	"context"
	"path/filepath"

	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/rollout"
)

// Push brings the release in the bundle at path to all hosts, verified and
// installed, and starts nothing: a deploy of it finds everything there.
func (p *Pipeline) Push(ctx context.Context, path string) (Result, error) {
	s := newStory(newRun(p.Now()), p.Now, p.Emit)
	p.enc.folder = filepath.Dir(path)
	b, err := packaging.Open(path)
	if err != nil {
		return Result{State: rollout.Failed, Run: s.run}, err
	}
	defer b.Close()
	res := Result{State: rollout.Failed, Run: s.run, Release: b.Release()}
	if err := p.trusted(b); err != nil {
		return res, err
	}
	d := &deployment{p: p, b: b, s: s, f: p.fleet(), m: p.missing(), revisions: map[string]release.Revision{}}
	all := d.f
	defer all.close()
	for _, h := range d.f {
		goos, arch := h.target()
		p.warm(b, goos, arch)
	}
	if d.f, err = p.reach(ctx, d.f, d.m, s); err != nil {
		return res, stopped(ctx, err)
	}
	return p.underRun(ctx, d.f, s, "push", res, func(l *lease) (Result, error) {
		if err := d.pushAll(ctx, l); err != nil {
			return res, stopped(ctx, err)
		}
		res.State = rollout.Promoted
		return res, leftBehind(d.m.names(), "pushed to the others")
	})
}
