package journal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// MaxFile bounds the journal of one run: 8 MiB.
const MaxFile = 8 << 20

// maxMeasured is where measurements end, in bytes: a run that is watched for
// days must still be able to tell how it ended.
const maxMeasured = MaxFile / 4 * 3

// File is a run's journal on disk. It keeps no handle between calls, so that
// the file can be removed at any time; the next record then begins it anew.
// One process writes it; it is not safe for concurrent use.
type File struct {
	path string
	have map[mark]bool
	last int64 // the highest number
	size int64 // bytes of the complete lines
}

// mark tells records apart. The number alone would not: a host that goes on
// alone does not know how far its controller got.
type mark struct {
	seq        int64
	time       int64
	kind, host string
}

func (r Record) mark() mark { return mark{r.Seq, r.Time.UnixNano(), r.Type, r.Host} }

// Open knows what the journal at path holds. A file that is not there is an
// empty journal; the first record creates it, readable by its owner only.
func Open(path string) (*File, error) {
	j := &File{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	defer f.Close()
	return j, j.load(f)
}

func (j *File) load(f *os.File) error {
	records, size, err := replay(io.LimitReader(f, MaxFile))
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	j.have, j.last, j.size = map[mark]bool{}, 0, size
	j.keep(records)
	return nil
}

func (j *File) keep(records []Record) {
	for _, r := range records {
		j.have[r.mark()] = true
		j.last = max(j.last, r.Seq)
	}
}

// Add appends the records that the journal does not have yet, and flushes
// them before it returns. After an error the journal is as it was; a journal
// that would grow beyond MaxFile takes nothing.
func (j *File) Add(records ...Record) (err error) {
	f, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	if err := j.catchUp(f); err != nil {
		return err
	}
	fresh, lines, err := j.fresh(records)
	if err != nil || len(fresh) == 0 {
		return err
	}
	if j.size+int64(len(lines)) > MaxFile {
		return fmt.Errorf("append to journal: it is full: %d bytes", j.size)
	}
	_, err = f.WriteAt(lines, j.size)
	if err = errors.Join(err, f.Sync()); err != nil {
		return errors.Join(fmt.Errorf("append to journal: %w", err), f.Truncate(j.size))
	}
	j.keep(fresh)
	j.size += int64(len(lines))
	return nil
}

// catchUp reads again what is not as this File left it, and cuts off a last
// line that a crash or a full disk left torn.
func (j *File) catchUp(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	if j.have != nil && info.Size() == j.size {
		return nil
	}
	if err := j.load(f); err != nil {
		return err
	}
	if err := f.Truncate(j.size); err != nil {
		return fmt.Errorf("cut torn line: %w", err)
	}
	return nil
}

// fresh picks the records that are new, and encodes them.
func (j *File) fresh(records []Record) (fresh []Record, lines []byte, err error) {
	seen := map[mark]bool{}
	for _, r := range records {
		if err := r.check(); err != nil {
			return nil, nil, fmt.Errorf("append to journal: %w", err)
		}
		if m := r.mark(); j.have[m] || seen[m] {
			continue
		}
		if (r.Type == TypeMeasurement || r.Type == TypeLook) && j.size > maxMeasured {
			continue
		}
		line, err := encode(r)
		if err != nil {
			return nil, nil, err
		}
		seen[r.mark()] = true
		fresh, lines = append(fresh, r), append(lines, line...)
	}
	return fresh, lines, nil
}

// encode makes the line of a record.
func encode(r Record) ([]byte, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode %s record: %w", r.Type, err)
	}
	if len(line) >= MaxLine {
		return nil, fmt.Errorf("%s record %d: %d bytes, at most %d", r.Type, r.Seq, len(line), MaxLine-1)
	}
	return append(line, '\n'), nil
}

// Tell numbers one record behind the last, dates it and adds it: for what a
// host does by itself.
func (j *File) Tell(run, kind, host string, now time.Time, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("encode %s record: %w", kind, err)
	}
	return j.Add(Record{V: Version, Seq: j.last + 1, Time: now.UTC(), Run: run, Type: kind, Host: host, Data: raw})
}
