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

// MaxLine bounds one record, its newline included: 256 KiB.
const MaxLine = 256 << 10

// Replay reads a whole journal. A record counts once its newline is written,
// so a last line without one, which a crash may leave, is left out. Anything
// else that is no record is an error that names the line.
func Replay(r io.Reader) ([]Record, error) {
	records, _, err := replay(r)
	return records, err
}

// replay also tells how many bytes the complete lines have.
func replay(r io.Reader) (records []Record, size int64, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(br)
		if errors.Is(err, io.EOF) {
			return records, size, nil
		}
		if err != nil {
			return records, size, fmt.Errorf("journal line %d: %w", n, err)
		}
		rec, err := decode(line)
		if err != nil {
			return records, size, fmt.Errorf("journal line %d: %w", n, err)
		}
		records = append(records, rec)
		size += int64(len(line))
	}
}

var errLong = fmt.Errorf("longer than %d bytes", MaxLine)

// readLine returns a line with its newline; io.EOF at the end, also in the
// middle of a line. What is too long is skipped to its end first, so that a
// torn tail of any length is still a torn tail.
func readLine(br *bufio.Reader) ([]byte, error) {
	var line []byte
	long := false
	for {
		part, err := br.ReadSlice('\n')
		if long = long || len(line)+len(part) > MaxLine; !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, err
		case long:
			return nil, errLong
		}
		return line, nil
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

// Merge makes one story out of what several hosts remember of the same run:
// by number, and where hosts wrote on alone, by time. Every record is told
// once. The stories themselves are not changed.
func Merge(stories ...[]Record) []Record {
	all := slices.Concat(stories...)
	slices.SortStableFunc(all, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), a.Time.Compare(b.Time),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Type, b.Type), bytes.Compare(a.Data, b.Data))
	})
	return slices.CompactFunc(all, same)
}

func same(a, b Record) bool {
	return a.Seq == b.Seq && a.Time.Equal(b.Time) && a.Run == b.Run && a.Type == b.Type &&
		a.Host == b.Host && bytes.Equal(a.Data, b.Data)
}
