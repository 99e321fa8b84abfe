package reload

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a File. The zero Options read strict JSON.
type Options[T any] struct {
	// Decode reads the file's bytes; nil: JSON without unknown fields.
	Decode func([]byte) (T, error)
	// Validate refuses what the service cannot work with; nil: nothing.
	Validate func(T) error
	// Log is told what was applied and what was refused; nil is slog.Default().
	Log *slog.Logger
	// Quiet is how long the file must rest before it is read: editors save in
	// several steps. 0 is 200 ms.
	Quiet time.Duration
	// Poll is how often the file is read even if the system told of no change,
	// as it does on network drives. 0 is 30 s.
	Poll time.Duration
	// Also are files that belong to it, which Decode reads itself: a change of
	// one of them is a change of the configuration. nil: none.
	Also []string
	// MaxBytes bounds each file; 0 is 1 MiB.
	MaxBytes int64
}

// File is a configuration that follows its file. Safe for concurrent use.
type File[T any] struct {
	path string
	o    Options[T]
	cur  atomic.Pointer[T]

	mu     sync.Mutex // one reload at a time
	users  []user[T]
	seen   [sha256.Size]byte // of the file as it was read last, good or bad
	status Status

	stop context.CancelFunc // of Start
	done chan struct{}
}

type user[T any] struct {
	name    string
	prepare Prepare[T]
}

// Prepare gets ready for next, without effect yet. What it returns makes it
// effective and cannot fail; an error refuses the whole configuration.
type Prepare[T any] func(ctx context.Context, old, next T) (commit func(), err error)

// Status of a File.
type Status struct {
	Applied int       // configurations so far, the first included
	Since   time.Time // of the current one
	Err     error     // why the file as it is now was refused; nil: it is in force
}

// Open reads the file, which must be good: a service does not start with a
// configuration that it would refuse later.
func Open[T any](path string, o Options[T]) (*File[T], error) {
	if o.Decode == nil {
		o.Decode = strictJSON[T]
	}
	if o.Validate == nil {
		o.Validate = func(T) error { return nil }
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	o.Quiet = orDefault(o.Quiet, 200*time.Millisecond)
	o.Poll = orDefault(o.Poll, 30*time.Second)
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 20
	}
	f := &File[T]{path: path, o: o}
	next, err := f.read()
	if err != nil {
		return nil, fmt.Errorf("load configuration: %w", err)
	}
	f.cur.Store(&next)
	f.status = Status{Applied: 1, Since: time.Now()}
	return f, nil
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

func strictJSON[T any](b []byte) (v T, err error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return v, errors.New("more after the configuration")
	}
	return v, nil
}

// Get is the configuration in force. It is shared: do not change what it points to.
func (f *File[T]) Get() T { return *f.cur.Load() }

// Status says whether the file is in force.
func (f *File[T]) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// Check is nil while the file is in force; it serves as a health check.
func (f *File[T]) Check(context.Context) error { return f.Status().Err }

// Use prepares and commits the current configuration, and from then on each
// changed one: all users prepare first, in the order of their Use, and only if
// none refused all commit. name is for messages.
func (f *File[T]) Use(ctx context.Context, name string, prepare Prepare[T]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	commit, err := prepare(ctx, f.Get(), f.Get())
	if err != nil {
		return fmt.Errorf("configure %s: %w", name, err)
	}
	if commit != nil {
		commit()
	}
	f.users = append(f.users, user[T]{name, prepare})
	return nil
}

// Reload reads the file now. On an error, which says why it was refused, the
// old configuration stays in force, all of it. service.WithReload takes it.
func (f *File[T]) Reload(ctx context.Context) error { return f.reload(ctx, true) }

// reload does nothing if the file is as it was read last, unless it must.
func (f *File[T]) reload(ctx context.Context, must bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.seen
	next, err := f.read()
	if f.seen == before && !must {
		return f.status.Err
	}
	var commits []func()
	if err == nil {
		commits, err = f.prepare(ctx, next)
	}
	if err != nil {
		err = fmt.Errorf("reload configuration: %w", err)
		f.status.Err = err
		f.o.Log.ErrorContext(ctx, "configuration refused, the old one stays", "file", f.path, "error", err)
		return err
	}
	f.cur.Store(&next)
	for _, commit := range commits {
		commit()
	}
	f.status = Status{Applied: f.status.Applied + 1, Since: time.Now()}
	f.o.Log.InfoContext(ctx, "configuration applied", "file", f.path, "applied", f.status.Applied)
	return nil
}

func (f *File[T]) prepare(ctx context.Context, next T) ([]func(), error) {
	var commits []func()
	for _, u := range f.users {
		commit, err := u.prepare(ctx, f.Get(), next)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u.name, err)
		}
		if commit != nil {
			commits = append(commits, commit)
		}
	}
	return commits, nil
}

func (f *File[T]) read() (next T, err error) {
	b, err := readBounded(f.path, f.o.MaxBytes)
	if err != nil {
		f.seen = sha256.Sum256([]byte(err.Error())) // so that it is told once
		return next, err
	}
	f.seen = f.digest(b)
	if next, err = f.o.Decode(b); err != nil {
		return next, fmt.Errorf("read %s: %w", f.path, err)
	}
	if err := f.o.Validate(next); err != nil {
		return next, fmt.Errorf("validate %s: %w", f.path, err)
	}
	return next, nil
}

// digest of the file and those that belong to it.
func (f *File[T]) digest(b []byte) [sha256.Size]byte {
	sums := sha256.Sum256(b)
	all := sums[:]
	for _, path := range f.o.Also {
		other, err := readBounded(path, f.o.MaxBytes)
		if err != nil {
			other = []byte(err.Error())
		}
		sum := sha256.Sum256(other)
		all = append(all, sum[:]...)
	}
	return sha256.Sum256(all)
}

func readBounded(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("read %s: more than %d bytes", path, limit)
	}
	return b, err
}
