package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// defaultRetain is how many releases a host keeps if nobody said.
const defaultRetain = 5

// stagingAge is when contents that no release took are given up.
const stagingAge = 24 * time.Hour

// prune removes releases beyond the retained ones.
func (s *service) prune(ctx context.Context, p rpc.Prune) (rpc.PruneReply, error) {
	var reply rpc.PruneReply
	admit := func() error { return s.holds(p.Fenced) }
	err := s.work(ctx, order{name: "prune", admit: admit}, func(ctx context.Context) (err error) {
		reply, err = s.sweep(p.Keep, p.DryRun)
		if err == nil && !p.DryRun {
			err = errors.Join(s.g.store.PruneStaging(time.Now().Add(-stagingAge)), s.g.pruneHelpers(ctx))
		}
		return err
	})
	if err != nil { // as in starts
		return rpc.PruneReply{}, err
	}
	return reply, nil
}

// tidy is the pruning that the guard does by itself after a commit cooled down.
func (s *service) tidy(context.Context) error {
	keep := 0
	s.tell(func() { keep = s.st.Retain })
	if keep == 0 {
		return nil
	}
	_, err := s.sweep(keep, false)
	return err
}

func (s *service) sweep(keep int, dry bool) (rpc.PruneReply, error) {
	reply := rpc.PruneReply{Removed: []string{}, Kept: []string{}}
	if keep <= 0 {
		keep = defaultRetain
	}
	var wanted map[release.Digest]bool
	var revisions map[string]bool
	err := s.do(s.g.ctx, func() error { wanted, revisions = s.wantedReleases(keep); return nil })
	if err != nil { // nobody said that nothing is wanted
		return reply, err
	}
	for _, a := range s.keptAutopsies() {
		wanted[a.Release.Digest], revisions[a.Revision.Short()] = true, true
	}
	installed, err := s.g.store.Releases(s.name)
	if err != nil {
		return reply, err
	}
	for _, m := range installed {
		if wanted[m.Release.Digest] {
			reply.Kept = append(reply.Kept, m.Release.Dir())
			continue
		}
		reply.Removed = append(reply.Removed, m.Release.Dir())
		for _, f := range m.Files {
			reply.Bytes += f.Size
		}
		if dry {
			continue
		}
		if _, err := s.g.store.Remove(s.name, m.Release); err != nil {
			return reply, err
		}
	}
	if dry {
		return reply, nil
	}
	return reply, s.forget(wanted, revisions)
}

// wantedReleases are those that must stay: in a slot, of a run that is alive,
// the one a rollback would take, and the newest that were committed.
func (s *service) wantedReleases(keep int) (map[release.Digest]bool, map[string]bool) {
	wanted, revisions := map[release.Digest]bool{}, map[string]bool{}
	want := func(r release.Release, revision release.Digest) {
		wanted[r.Digest], revisions[revision.Short()] = true, true
	}
	for _, rec := range s.st.Slots {
		want(rec.Release, rec.Revision)
	}
	if r := s.st.Run; r.live() || r.parked() {
		want(r.Release, r.Revision)
	}
	if p, ok := s.st.previous(); ok {
		want(p.Release, p.Revision)
	}
	kept := map[release.Digest]bool{}
	for _, r := range s.st.Retained {
		if len(kept) < keep || kept[r.Release.Digest] {
			kept[r.Release.Digest] = true
			want(r.Release, r.Revision)
		}
	}
	return wanted, revisions
}

// forget drops what the record says about releases that are gone.
func (s *service) forget(wanted map[release.Digest]bool, revisions map[string]bool) error {
	dir := filepath.Join(s.g.opts.Layout.Service(s.name), "revisions")
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list revisions: %w", err)
	}
	for _, e := range entries {
		if !revisions[e.Name()] {
			if err := acl.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove revision: %w", err)
			}
		}
	}
	return s.do(s.g.ctx, func() error {
		return s.change(func(st *state) {
			var rest []rpc.Retained
			for _, r := range st.Retained {
				if wanted[r.Release.Digest] && revisions[r.Revision.Short()] {
					rest = append(rest, r)
				}
			}
			st.Retained = rest
		})
	})
}

// pruneHelpers removes versions of the helper that nothing names. If any
// image path or event source cannot be read, none is removed.
func (g *Guard) pruneHelpers(ctx context.Context) error {
	bin := filepath.Join(g.opts.Layout.Programs, "bin")
	entries, err := os.ReadDir(bin)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list helpers: %w", err)
	}
	used, err := g.usedBelow(ctx, bin)
	if err != nil {
		return fmt.Errorf("prune helpers: %w", err)
	}
	for _, e := range entries {
		_, err := release.ParseDigest(e.Name())
		if err != nil || !e.IsDir() || used[strings.ToLower(e.Name())] {
			continue
		}
		if err := acl.RemoveAll(filepath.Join(bin, e.Name())); err != nil {
			g.opts.Log.Warn("helper is still in use", "folder", e.Name(), "error", err)
		}
	}
	return nil
}

// usedBelow names the folders of bin that image paths and event sources point
// into, and our own.
func (g *Guard) usedBelow(ctx context.Context, bin string) (map[string]bool, error) {
	used := map[string]bool{}
	use := func(path string) {
		if rel, err := filepath.Rel(strings.ToLower(bin), strings.ToLower(path)); err == nil {
			used[strings.Split(filepath.ToSlash(rel), "/")[0]] = true
		}
	}
	use(g.opts.Executable)
	if own, err := os.Executable(); err == nil {
		use(own)
	}
	sources, err := g.opts.Sources()
	if err != nil {
		return nil, err
	}
	for _, file := range sources {
		use(file)
	}
	names, err := g.opts.SCM.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		spec, err := g.opts.SCM.Spec(ctx, name)
		if errors.Is(err, scm.ErrNotFound) || errors.Is(err, scm.ErrDenied) {
			continue // gone meanwhile, or hidden even from SYSTEM: none of ours
		}
		if err != nil {
			return nil, err
		}
		use(spec.Executable)
	}
	return used, nil
}
