// Package logfile is a log file that starts anew when it is full or old.
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Log is a log file that starts anew when it is full. Every Write goes to
// the system at once: what a crashing program said last is kept. Safe for
// concurrent use.
type Log struct {
	name     string // path without extension
	ext      string
	maxBytes int64
	keep     int
	maxAge   time.Duration // 0: any
	now      func() time.Time

	mu    sync.Mutex
	file  *os.File
	size  int64
	began time.Time // of the file
}

// Open appends to the file at path and moves it aside when a Write would
// make it larger than maxBytes: out.log to out.1.log, that to out.2.log …,
// keep of them. Its folder is created if need be.
func Open(path string, maxBytes int64, keep int) (*Log, error) {
	return OpenAged(path, maxBytes, keep, 0, time.Now)
}

// OpenAged also moves a file aside that was begun maxAge ago. Of one that was
// there before, the last change is the earliest that is known.
func OpenAged(path string, maxBytes int64, keep int, maxAge time.Duration, now func() time.Time) (*Log, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create log folder: %w", err)
	}
	ext := filepath.Ext(path)
	l := &Log{name: strings.TrimSuffix(path, ext), ext: ext, maxBytes: maxBytes, keep: keep, maxAge: maxAge, now: now}
	return l, l.open()
}

func (l *Log) open() error {
	f, err := os.OpenFile(l.path(0), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("open log: %w", err)
	}
	l.file, l.size, l.began = f, info.Size(), l.now()
	if l.size > 0 && info.ModTime().Before(l.began) {
		l.began = info.ModTime()
	}
	return nil
}

// path of the n-th file; 0 is the one being written.
func (l *Log) path(n int) string {
	if n == 0 {
		return l.name + l.ext
	}
	return fmt.Sprintf("%s.%d%s", l.name, n, l.ext)
}

// Write never splits p over two files. It reports all of p as written even
// if the disk is full: a program must not stop over its log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && (l.size+int64(len(p)) > l.maxBytes || l.maxAge > 0 && l.now().Sub(l.began) >= l.maxAge) {
		l.rotate()
	}
	if l.file == nil && l.open() != nil {
		return len(p), nil
	}
	n, _ := l.file.Write(p)
	l.size += int64(n)
	return len(p), nil
}

// rotate moves out.log to out.1.log and so on. If somebody holds a file the
// current one goes on and the next Write tries again.
func (l *Log) rotate() {
	l.close()
	_ = os.Remove(l.path(l.keep))
	for n := l.keep; n > 0; n-- {
		err := os.Rename(l.path(n-1), l.path(n))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if l.keep == 0 {
		_ = os.Remove(l.path(0))
	}
}

// Close flushes the file.
func (l *Log) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close()
}

func (l *Log) close() {
	if l.file != nil {
		_ = l.file.Sync()
		_ = l.file.Close()
		l.file, l.size = nil, 0
	}
}
