package log

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Rotation says when a file starts anew, and how many old ones stay. It always
// does at midnight, local time.
type Rotation struct {
	MaxBytes int64 // and before it gets larger than this; 0 is 100 MiB
	Keep     int   // so many old files, the newest; 0 is 14
	Plain    bool  // old files are not compressed; false: by gzip
}

const (
	defaultMaxBytes = 100 << 20
	defaultKeep     = 14
	// retry is how long a file that somebody holds is left alone.
	retry = time.Minute
)

// file is a log file that starts anew each day and when it is full: name.log
// is moved to name-20261124T150405.000000.log, and that is compressed by a
// goroutine of its own. Used by one goroutine at a time.
type file struct {
	path   string
	max    int64
	now    func() time.Time
	shelf  shelf
	shelve sync.WaitGroup

	f     *os.File
	size  int64
	day   int       // of the first line
	after time.Time // no rotation before
	torn  bool      // the last write ended within a line
}

func openFile(path string, r Rotation, now func() time.Time) (*file, error) {
	if r.MaxBytes < 0 || r.Keep < 0 {
		return nil, fmt.Errorf("rotation of %s is out of range", path)
	}
	f := &file{path: path, max: r.MaxBytes, now: now, shelf: newShelf(path, r)}
	if f.max == 0 {
		f.max = defaultMaxBytes
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	if err := f.open(); err != nil {
		return nil, err
	}
	f.shelve.Go(f.shelf.tidy) // what the last run left
	return f, nil
}

// open appends. Of a file that was there the last change tells its day.
func (f *file) open() error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	f.f, f.size, f.day = file, info.Size(), day(f.now())
	if f.size > 0 {
		f.day = day(info.ModTime())
	}
	return nil
}

func day(t time.Time) int {
	y, m, d := t.Local().Date()
	return (y*100+int(m))*100 + d
}

// Write takes whole lines. No line is split over two files.
func (f *file) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := f.write(p[written:])
		written += n
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

// write writes as many lines as this file takes.
func (f *file) write(p []byte) (int, error) {
	now := f.now()
	rotates := !now.Before(f.after)
	if rotates && f.size > 0 && (day(now) != f.day || f.size+int64(firstLine(p)) > f.max) {
		f.rotate(now)
		rotates = !now.Before(f.after)
	}
	if f.f == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	if rotates && f.size+int64(len(p)) > f.max {
		room := max(int(f.max-f.size), firstLine(p))
		if end := bytes.LastIndexByte(p[:room], '\n') + 1; end > 0 {
			p = p[:end]
		}
	}
	if f.size == 0 {
		f.day = day(now)
	}
	return f.append(p)
}

// firstLine is its length.
func firstLine(p []byte) int {
	if n := bytes.IndexByte(p, '\n') + 1; n > 0 {
		return n
	}
	return len(p)
}

// append mends a line that a full disk has cut before it goes on.
func (f *file) append(p []byte) (int, error) {
	if f.torn {
		if _, err := f.f.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		f.size, f.torn = f.size+1, false
	}
	n, err := f.f.Write(p)
	f.size += int64(n)
	f.torn = n > 0 && p[n-1] != '\n'
	return n, err
}

// rotate moves the file aside. If somebody holds it, it goes on as it is, and
// another rotation is tried later.
func (f *file) rotate(now time.Time) {
	_ = f.f.Close()
	f.f = nil
	if err := os.Rename(f.path, f.shelf.place(now)); err != nil {
		f.after = now.Add(retry)
		return // the next write opens it again
	}
	f.size = 0
	f.shelve.Go(f.shelf.tidy)
}

// Close flushes the file to the disk and waits for the archives.
func (f *file) Close() error {
	var err error
	if f.f != nil {
		if err = f.f.Sync(); err == nil {
			err = f.f.Close()
		} else {
			f.f.Close()
		}
		f.f = nil
	}
	f.shelve.Wait()
	if err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	return nil
}
