package log

import (
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	stamp   = "20060102T150405.000000"
	packed  = ".gz"
	packing = ".gz.tmp"
)

// shelf is where old files of one log lie: beside it, named by the time at
// which they were moved, so that names sort by age.
type shelf struct {
	dir, prefix, ext string
	keep             int
	plain            bool
	mu               *sync.Mutex // one tidies at a time
}

func newShelf(path string, r Rotation) shelf {
	ext := filepath.Ext(path)
	s := shelf{dir: filepath.Dir(path), prefix: strings.TrimSuffix(filepath.Base(path), ext) + "-", ext: ext,
		keep: r.Keep, plain: r.Plain, mu: new(sync.Mutex)}
	if s.keep == 0 {
		s.keep = defaultKeep
	}
	return s
}

// place is a name for a file that is moved now, and that nobody has.
func (s shelf) place(now time.Time) string {
	for {
		path := filepath.Join(s.dir, s.prefix+now.UTC().Format(stamp)+s.ext)
		_, plain := os.Lstat(path)
		_, zipped := os.Lstat(path + packed)
		if errors.Is(plain, fs.ErrNotExist) && errors.Is(zipped, fs.ErrNotExist) {
			return path
		}
		now = now.Add(time.Microsecond)
	}
}

// tidy removes what is too old and compresses the rest. What fails now is done
// at the next time.
func (s shelf) tidy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.old()
	for len(old) > s.keep {
		_ = os.Remove(filepath.Join(s.dir, old[0]))
		old = old[1:]
	}
	for _, name := range old {
		if !s.plain && !strings.HasSuffix(name, packed) {
			_ = compress(filepath.Join(s.dir, name))
		}
	}
}

// old lists the files on the shelf, the oldest first.
func (s shelf) old() []string {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.Type().IsRegular() || !strings.HasPrefix(name, s.prefix):
		case s.isOld(strings.TrimSuffix(name, packed)):
			names = append(names, name)
		case s.isOld(strings.TrimSuffix(name, packing)):
			_ = os.Remove(filepath.Join(s.dir, name)) // begun by a run that ended
		}
	}
	slices.Sort(names)
	return names
}

// isOld recognizes our own names only: nothing else is ever removed.
func (s shelf) isOld(name string) bool {
	moved, ok := strings.CutSuffix(strings.TrimPrefix(name, s.prefix), s.ext)
	if !ok {
		return false
	}
	_, err := time.Parse(stamp, moved)
	return err == nil
}

// compress replaces the file at path. There is a whole one at each moment.
func compress(path string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() {
		in.Close()
		if err == nil {
			err = os.Remove(path)
		}
	}()
	out, err := os.OpenFile(path+packing, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	if err := copyPacked(out, in); err != nil {
		os.Remove(path + packing)
		return err
	}
	return os.Rename(path+packing, path+packed)
}

func copyPacked(out *os.File, in io.Reader) error {
	z, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err == nil {
		_, err = io.Copy(z, in)
	}
	if err == nil {
		err = z.Close()
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}
