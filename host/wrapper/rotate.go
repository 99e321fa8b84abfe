package wrapper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// rotator is a log file that starts anew when it is full. Every Write goes
// to the system at once: what a crashing program said last is kept. Safe for
// concurrent use.
type rotator struct {
	dir      string
	maxBytes int64
	keep     int // old files beside out.log

	mu   sync.Mutex
	file *os.File
	size int64
}

func openRotator(dir string, maxBytes int64, keep int) (*rotator, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create log folder: %w", err)
	}
	r := &rotator{dir: dir, maxBytes: maxBytes, keep: keep}
	return r, r.open()
}

func (r *rotator) open() error {
	f, err := os.OpenFile(r.path(0), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open log: %w", err)
	}
	r.file, r.size = f, info.Size()
	return nil
}

// path of the n-th file; 0 is the one being written.
func (r *rotator) path(n int) string {
	if n == 0 {
		return filepath.Join(r.dir, "out.log")
	}
	return filepath.Join(r.dir, fmt.Sprintf("out.%d.log", n))
}

// Write never splits p over two files. It reports all of p as written even
// if the disk is full: a program must not stop over its log.
func (r *rotator) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.size > 0 && r.size+int64(len(p)) > r.maxBytes {
		r.rotate()
	}
	if r.file == nil && r.open() != nil {
		return len(p), nil
	}
	n, _ := r.file.Write(p)
	r.size += int64(n)
	return len(p), nil
}

// rotate moves out.log to out.1.log and so on. If somebody holds a file the
// current one goes on and the next Write tries again.
func (r *rotator) rotate() {
	r.close()
	_ = os.Remove(r.path(r.keep))
	for n := r.keep; n > 0; n-- {
		err := os.Rename(r.path(n-1), r.path(n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if r.keep == 0 {
		_ = os.Remove(r.path(0))
	}
}

// Close flushes the file.
func (r *rotator) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close()
}

func (r *rotator) close() {
	if r.file != nil {
		_ = r.file.Sync()
		_ = r.file.Close()
		r.file, r.size = nil, 0
	}
}
