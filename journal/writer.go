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
	err error // a write may have been cut short: nothing may follow it
}

// NewWriter continues the story of run behind the record numbered last (0: it
// begins). Where w has a Sync method, as files do, each record is synced.
func NewWriter(w io.Writer, run string, last int64, now func() time.Time) *Writer {
	return &Writer{w: w, run: run, seq: last, now: now}
}

// Append writes one record and returns it. data is one of this package's
// types, or nil. After a failed write every call returns its error, because
// what follows half a line would be lost with it.
func (w *Writer) Append(kind, host string, data any) (Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return Record{}, w.err
	}
	r := Record{V: Version, Seq: w.seq + 1, Time: w.now().UTC(), Run: w.run, Type: kind, Host: host}
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			return Record{}, fmt.Errorf("encode %s record: %w", kind, err)
		}
		r.Data = raw
	}
	line, err := encode(r)
	if err != nil {
		return Record{}, err
	}
	if w.err = flush(w.w, line); w.err != nil {
		return Record{}, w.err
	}
	w.seq++
	return r, nil
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

// flush writes lines and, where w can, waits until they are on disk.
func flush(w io.Writer, lines []byte) error {
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
