// Package store keeps releases on a host. Contents arrive by digest in a
// staging folder, whole or in pieces; a release is assembled from them and
// gets its name only when it is complete, flushed and verified.
package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// Store is the releases of one host. Safe for concurrent use.
type Store struct {
	root     string // of programs: services/NAME/releases/…, staging/…
	diskFull func(*os.File, []byte) error

	mu    sync.Mutex
	locks map[release.Digest]*lock // of contents and releases being written
	index map[release.Digest][]string
}

// lock is held by one writer; others wait for it.
type lock struct {
	held  chan struct{} // capacity 1
	users int
}

// Open returns the store below root and removes what an interrupted install
// left. root must exist and be protected already.
func Open(root string) (*Store, error) {
	s := &Store{root: root, locks: map[release.Digest]*lock{}, index: map[release.Digest][]string{}}
	if err := os.MkdirAll(s.staging(), 0o700); err != nil {
		return nil, fmt.Errorf("create staging folder: %w", err)
	}
	services, err := os.ReadDir(filepath.Join(root, "services"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read services: %w", err)
	}
	for _, d := range services {
		if err := s.sweep(d.Name()); err != nil {
			return nil, err
		}
		installed, err := s.Releases(d.Name())
		if err != nil {
			return nil, err
		}
		for _, m := range installed {
			s.remember(d.Name(), m)
		}
	}
	return s, nil
}

func (s *Store) staging() string { return filepath.Join(s.root, "staging") }

func (s *Store) content(d release.Digest) string { return filepath.Join(s.staging(), string(d)) }

func (s *Store) releases(service string) string {
	return filepath.Join(s.root, "services", service, "releases")
}

// Path is the folder of an installed release.
func (s *Store) Path(service string, r release.Release) string {
	return filepath.Join(s.releases(service), r.Dir())
}

// Have tells which contents are missing, with the bytes of each already received.
func (s *Store) Have(digests []release.Digest) (rpc.HaveReply, error) {
	reply := rpc.HaveReply{Missing: []rpc.Partial{}}
	for _, d := range digests {
		if _, err := release.ParseDigest(string(d)); err != nil {
			return reply, rpc.Errorf(rpc.CodeFailed, "", "%v", err)
		}
		if s.find(d) == "" {
			reply.Missing = append(reply.Missing, s.partial(d))
		}
	}
	return reply, nil
}

// find returns a file that should hold d: staged, or of an installed release.
func (s *Store) find(d release.Digest) string {
	if exists(s.content(d)) {
		return s.content(d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range s.index[d] {
		if exists(path) {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular()
}

// remember books the files of an installed release, so that equal ones never
// travel again.
func (s *Store) remember(service string, m Manifest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range m.Files {
		path := filepath.Join(s.Path(service, m.Release), filepath.FromSlash(f.Path))
		s.index[f.SHA256] = append(s.index[f.SHA256], path)
	}
}

// distrust takes a file that is not what it should be out of the index.
func (s *Store) distrust(d release.Digest, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rest []string
	for _, p := range s.index[d] {
		if p != path {
			rest = append(rest, p)
		}
	}
	s.index[d] = rest
}

// hold waits until nobody else writes d.
func (s *Store) hold(ctx context.Context, d release.Digest) (free func(), err error) {
	s.mu.Lock()
	l := s.locks[d]
	if l == nil {
		l = &lock{held: make(chan struct{}, 1)}
		s.locks[d] = l
	}
	l.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(s.locks, d)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// write is the one place where bytes go to the disk.
func (s *Store) write(f *os.File, p []byte) (int, error) {
	if s.diskFull != nil {
		if err := s.diskFull(f, p); err != nil {
			return 0, err
		}
	}
	return f.Write(p)
}

// sink is a file as an io.Writer through write.
type sink struct {
	s *Store
	f *os.File
}

func (w sink) Write(p []byte) (int, error) { return w.s.write(w.f, p) }

// problem gives an error of the disk its code.
func problem(err error, doing string) error {
	var remote *rpc.Error
	switch {
	case err == nil || errors.As(err, &remote):
		return err
	case isDiskFull(err):
		return rpc.Errorf(rpc.CodeDiskFull, "free space on the host's volume, or run shipper prune", "%s: %v", doing, err)
	case errors.Is(err, os.ErrPermission):
		return rpc.Errorf(rpc.CodeDenied, "", "%s: %v", doing, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// reader ends a copy when ctx does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}
