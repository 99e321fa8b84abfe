package journal

import (
	"fmt"
	"io"
	"os"
	"time"
)

// File is a run's journal on disk. One process writes it; it is not safe for
// concurrent use.
type File struct {
	f       *os.File
	records []Record
	have    map[mark]bool
	last    int64
}

// mark tells records apart. The number alone would not: a host that goes on
// alone does not know how far its controller got.
type mark struct {
	seq        int64
	time       int64
	kind, host string
}

func (r Record) mark() mark { return mark{r.Seq, r.Time.UnixNano(), r.Type, r.Host} }

// Open opens or creates the journal at path, readable by its owner only, and
// cuts off a last line that a crash left torn. A journal that is damaged in
// the middle is refused.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &File{f: f, have: map[mark]bool{}}
	if err := j.load(); err != nil {
		f.Close()
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	}
	return j, nil
}

func (j *File) load() error {
	records, size, err := replay(j.f)
	if err != nil {
		return err
	}
	if err := j.f.Truncate(size); err != nil {
		return fmt.Errorf("cut torn line: %w", err)
	}
	if _, err := j.f.Seek(size, io.SeekStart); err != nil {
		return fmt.Errorf("find end: %w", err)
	}
	j.keep(records)
	return nil
}

func (j *File) keep(records []Record) {
	for _, r := range records {
		j.have[r.mark()] = true
		j.last = max(j.last, r.Seq)
	}
	j.records = append(j.records, records...)
}

// Add appends the records that the journal does not have yet, and flushes
// them before it returns. After an error the file is as it was, or refused
// by further calls.
func (j *File) Add(records ...Record) error {
	fresh, lines, err := j.fresh(records)
	if err != nil || len(fresh) == 0 {
		return err
	}
	end, err := j.f.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	if err := flush(j.f, lines); err != nil {
		j.rewind(end)
		return err
	}
	j.keep(fresh)
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
		line, err := encode(r)
		if err != nil {
			return nil, nil, err
		}
		seen[r.mark()] = true
		fresh, lines = append(fresh, r), append(lines, line...)
	}
	return fresh, lines, nil
}

// rewind takes a write back that a full disk cut short; a file that can not
// be mended takes no further records.
func (j *File) rewind(end int64) {
	if err := j.f.Truncate(end); err != nil {
		j.f.Close()
		return
	}
	if _, err := j.f.Seek(end, io.SeekStart); err != nil {
		j.f.Close()
	}
}

// Tell numbers one record behind the last, dates it and adds it: for what a
// host does by itself.
func (j *File) Tell(run, kind, host string, now time.Time, data any) (Record, error) {
	at := func() time.Time { return now }
	r, err := NewWriter(io.Discard, run, j.last, at).Append(kind, host, data)
	if err != nil {
		return Record{}, err
	}
	return r, j.Add(r)
}

// Records are all records so far, in the order of the file. The slice is a
// view: do not change it.
func (j *File) Records() []Record { return j.records }

// Last is the highest number so far, 0 for an empty journal.
func (j *File) Last() int64 { return j.last }

// Close closes the file.
func (j *File) Close() error { return j.f.Close() }
