package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxLine bounds one record, its newline included: 64 KiB.
const MaxLine = 64 << 10

// Replay reads a whole journal; an error is one of reading. A record counts
// once its newline is written, so a last line without one, which a crash may
// leave, is left out. So is a line that is no record: what a bad block took
// must not silence the rest of the story.
func Replay(r io.Reader) ([]Record, error) {
	records, _, err := replay(r)
	return records, err
}

// replay also tells how many bytes the complete lines have.
func replay(r io.Reader) (records []Record, size int64, err error) {
	br := bufio.NewReaderSize(r, MaxLine)
	for {
		line, n, err := readLine(br)
		if errors.Is(err, io.EOF) {
			return records, size, nil
		}
		if err != nil {
			return records, size, err
		}
		size += n
		if rec, err := decode(line); err == nil {
			records = append(records, rec)
		}
	}
}

// readLine returns a line and how many bytes it has, its newline included;
// io.EOF at the end, also in the middle of a line. A line that is too long
// comes empty.
func readLine(br *bufio.Reader) (line []byte, n int64, err error) {
	for {
		line, err = br.ReadSlice('\n')
		n += int64(len(line))
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if n > MaxLine {
			line = nil
		}
		return line, n, err
	}
}

func decode(line []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil {
		return Record{}, fmt.Errorf("not a record: %w", err)
	}
	return r, r.check()
}

// check tells a record from any other object.
func (r Record) check() error {
	if r.V < 1 || r.Seq < 1 || r.Type == "" {
		return fmt.Errorf("not a record: v %d, seq %d, type %q", r.V, r.Seq, r.Type)
	}
	return nil
}

// Merge makes one story of each run out of what several hosts remember: by
// number, and where hosts wrote on alone, by time. Every record is told once.
// The stories themselves are not changed.
func Merge(stories ...[]Record) []Record {
	all := slices.Concat(stories...)
	slices.SortStableFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Seq, b.Seq), a.Time.Compare(b.Time),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Type, b.Type), bytes.Compare(a.Data, b.Data))
	})
	return slices.CompactFunc(all, same)
}

func same(a, b Record) bool {
	return a.Seq == b.Seq && a.Time.Equal(b.Time) && a.Run == b.Run && a.Type == b.Type &&
		a.Host == b.Host && bytes.Equal(a.Data, b.Data)
}
