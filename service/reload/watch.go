package reload

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
	if err := w.Add(filepath.Dir(f.path)); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", f.path, err), w.Close())
	}
	return w, nil
}

func (f *File[T]) follow(ctx context.Context, w *fsnotify.Watcher) {
	changes := make(chan struct{}, 1)
	go f.sift(w, changes)
	settle(ctx, changes, f.o.Quiet, f.o.Poll, func() {
		_ = w.Add(filepath.Dir(f.path)) // the folder may be another one by now
		_ = f.reload(ctx, false)        // told in status and log
	})
}

// sift passes on that something about our file happened. A link that leads
// elsewhere now counts, whatever its target's folder told.
func (f *File[T]) sift(w *fsnotify.Watcher, changes chan<- struct{}) {
	real, _ := filepath.EvalSymlinks(f.path)
	for {
		select {
		case e, open := <-w.Events:
			if !open {
				return
			}
			now, _ := filepath.EvalSymlinks(f.path)
			if now == real && !strings.EqualFold(filepath.Base(e.Name), filepath.Base(f.path)) {
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
