package reload

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Start watches the file until Stop; with it a File is a part of a service
// (service.WithPart).
func (f *File[T]) Start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w, err := f.watcher()
	if err != nil {
		cancel()
		return err
	}
	f.stop, f.done = cancel, make(chan struct{})
	go func() {
		defer close(f.done)
		defer w.Close()
		f.follow(ctx, w)
	}()
	return nil
}

// Stop ends watching.
func (f *File[T]) Stop(ctx context.Context) error {
	f.stop()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Watch applies changes of the file until ctx ends.
func (f *File[T]) Watch(ctx context.Context) error {
	w, err := f.watcher()
	if err != nil {
		return err
	}
	defer w.Close()
	f.follow(ctx, w)
	return context.Cause(ctx)
}

// watcher watches the folder: a file that is replaced is another file then.
func (f *File[T]) watcher() (*fsnotify.Watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", f.path, err)
	}
	if err := f.addFolders(w); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", f.path, err), w.Close())
	}
	return w, nil
}

func (f *File[T]) files() []string { return append([]string{f.path}, f.o.Also...) }

func (f *File[T]) addFolders(w *fsnotify.Watcher) (err error) {
	for _, path := range f.files() {
		err = errors.Join(err, w.Add(filepath.Dir(path)))
	}
	return err
}

func (f *File[T]) follow(ctx context.Context, w *fsnotify.Watcher) {
	changes := make(chan struct{}, 1)
	go f.sift(w, changes)
	settle(ctx, changes, f.o.Quiet, f.o.Poll, func() {
		_ = f.addFolders(w)      // they may be others by now
		_ = f.reload(ctx, false) // told in status and log
	})
}

// sift passes on that something about our files happened. A link that leads
// elsewhere now counts, whatever its target's folder told.
func (f *File[T]) sift(w *fsnotify.Watcher, changes chan<- struct{}) {
	real := f.real()
	for {
		select {
		case e, open := <-w.Events:
			if !open {
				return
			}
			now := f.real()
			if now == real && !f.ours(e.Name) {
				continue
			}
			real = now
		case _, open := <-w.Errors: // an overflow: anything may have happened
			if !open {
				return
			}
		}
		select {
		case changes <- struct{}{}:
		default: // one waits already
		}
	}
}

func (f *File[T]) ours(path string) bool {
	return slices.ContainsFunc(f.files(), func(ours string) bool {
		return strings.EqualFold(filepath.Base(ours), filepath.Base(path))
	})
}

// real is where the files lead.
func (f *File[T]) real() string {
	var all []string
	for _, path := range f.files() {
		to, _ := filepath.EvalSymlinks(path)
		all = append(all, to)
	}
	return strings.Join(all, "\x00")
}

// settle calls look when changes have been quiet for a while, and at each poll.
func settle(ctx context.Context, changes <-chan struct{}, quiet, poll time.Duration, look func()) {
	rest := time.NewTimer(quiet)
	defer rest.Stop()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
			rest.Reset(quiet)
		case <-rest.C:
			look()
		case <-tick.C:
			look()
		}
	}
}
