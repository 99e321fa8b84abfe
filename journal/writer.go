package journal

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Writer tells a run: it numbers and dates records and appends them as JSON
// lines, one write and one flush to disk each. It may be called from several
// goroutines.
type Writer struct {
	mu  sync.Mutex
	w   io.Writer
	run string
	seq int64
	now func() time.Time
}

// NewWriter continues the story of run behind the record numbered last (0: it
// begins). Where w has a Sync method, as files do, each record is synced.
func NewWriter(w io.Writer, run string, last int64, now func() time.Time) *Writer {
	return &Writer{w: w, run: run, seq: last, now: now}
}

// Append writes one record and returns it. data is one of this package's
// types, or nil. A record that could not be written does not take a number.
func (w *Writer) Append(kind, host string, data any) (Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Record{V: Version, Seq: w.seq + 1, Time: w.now().UTC(), Run: w.run, Type: kind, Host: host}
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			return Record{}, fmt.Errorf("encode %s record: %w", kind, err)
		}
		r.Data = raw
	}
	if err := write(w.w, r); err != nil {
		return Record{}, err
	}
	w.seq++
	return r, nil
}

// write appends records in one write, and flushes them.
func write(w io.Writer, records ...Record) error {
	var lines []byte
	for _, r := range records {
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode record %d: %w", r.Seq, err)
		}
		if len(line) >= MaxLine {
			return fmt.Errorf("record %d (%s): %d bytes, at most %d", r.Seq, r.Type, len(line), MaxLine)
		}
		lines = append(append(lines, line...), '\n')
	}
	if _, err := w.Write(lines); err != nil {
		return fmt.Errorf("append to journal: %w", err)
	}
	if s, ok := w.(interface{ Sync() error }); ok {
		if err := s.Sync(); err != nil {
			return fmt.Errorf("flush journal: %w", err)
		}
	}
	return nil
}
