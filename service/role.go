package service

import (
	"bytes"
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// Role is what shipper uses an instance for.
type Role string

// Roles.
const (
	// Stable is the committed release, or a program that runs without shipper.
	Stable Role = "stable"
	// Canary is a release that is being tried, or one that was replaced and is
	// kept warm.
	Canary Role = "canary"
	// NoRole is a role file that is missing or cannot be understood: work that
	// may run once only does not run.
	NoRole Role = ""
)

// rolePoll is how often the role file is read. shipper demotes the one
// instance before it promotes the other, so that one which begins its single
// work settle after its promotion finds the other's work told to end.
const (
	rolePoll = 500 * time.Millisecond
	settle   = 2 * rolePoll
)

// roleFile is the role, live.
type roleFile struct {
	path string // "" is a program without shipper

	turn     sync.Mutex // held while watchers are told: they see changes in order
	mu       sync.Mutex
	role     Role
	changed  chan struct{} // closed at the next change
	watchers []func(Role)
}

func newRoleFile(path string) *roleFile {
	r := &roleFile{path: path, changed: make(chan struct{})}
	r.role = r.read()
	return r
}

// read looks at the file itself. It is replaced atomically, so a moment's
// failure to open it on Windows is worth a second try at the next poll only.
func (r *roleFile) read() Role {
	if r.path == "" {
		return Stable
	}
	f, err := os.Open(r.path)
	if err != nil {
		return NoRole
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return NoRole
	}
	switch role := Role(bytes.TrimSpace(text)); role {
	case Stable, Canary:
		return role
	default:
		return NoRole
	}
}

// current gives the role and a channel that is closed when it is another.
func (r *roleFile) current() (Role, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.role, r.changed
}

func (r *roleFile) watch(f func(Role)) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	r.watchers = append(r.watchers, f)
	role := r.role
	r.mu.Unlock()
	f(role)
}

// refresh reads the file and tells the watchers of a change.
func (r *roleFile) refresh() {
	r.turn.Lock()
	defer r.turn.Unlock()
	now := r.read()
	r.mu.Lock()
	if now == r.role {
		r.mu.Unlock()
		return
	}
	r.role = now
	close(r.changed)
	r.changed = make(chan struct{})
	watchers := slices.Clone(r.watchers)
	r.mu.Unlock()
	for _, f := range watchers {
		f(now)
	}
}

// follow reads the file until ctx ends.
func (r *roleFile) follow(ctx context.Context) {
	if r.path == "" {
		return
	}
	tick := time.NewTicker(rolePoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.refresh()
		case <-ctx.Done():
			return
		}
	}
}
