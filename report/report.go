// Package report shows the journal to people and programs: terminal, JSON
// lines, job summary, tables. It only reads records; it decides nothing.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-shipper/shipper/journal"
)

// Options say what the other side can show.
type Options struct {
	Color   bool     // escape codes for colours
	TTY     bool     // lines may be redrawn in place
	Width   int      // columns; 0: 80
	Verbose bool     // every measurement, the output of builds, who is ready to commit
	Hosts   []string // names to make room for; others make room when they come
}

// JSON returns a reader that writes each record as one line. All keys of the
// contract are there, empty or not.
func JSON(w io.Writer) func(journal.Record) {
	type line struct {
		V    int             `json:"v"`
		Seq  int64           `json:"seq"`
		Time time.Time       `json:"time"`
		Run  string          `json:"run"`
		Type string          `json:"type"`
		Host string          `json:"host"`
		Data json.RawMessage `json:"data"`
	}
	return func(r journal.Record) {
		if len(r.Data) == 0 {
			r.Data = json.RawMessage("{}")
		}
		data, err := json.Marshal(line(r))
		if err != nil { // only if Data is no JSON: tell the rest
			r.Data = json.RawMessage("{}")
			data, _ = json.Marshal(line(r))
		}
		_, _ = w.Write(append(data, '\n')) // a reader that went away stops no run
	}
}

// decode reads a record's data; what does not fit stays zero, because a
// reader must live with records of other versions.
func decode[T any](r journal.Record) T {
	var v T
	_ = json.Unmarshal(r.Data, &v)
	return v
}

// bytes writes a size as people read it: 13.4 MB.
func bytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// rate writes bytes per second; empty if nothing can be said.
func rate(n int64, seconds float64) string {
	if seconds <= 0 || n <= 0 {
		return ""
	}
	return bytes(int64(float64(n)/seconds)) + "/s"
}

// span writes a duration in two units at most: 3.1 s, 42 s, 4 min 5 s, 2 h 3 min.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return pair(d, time.Minute, "min", time.Second, "s")
	}
	return pair(d, time.Hour, "h", time.Minute, "min")
}

func pair(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	text := fmt.Sprintf("%d %s", d/big, bigName)
	if rest := d % big / small; rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smallName)
	}
	return text
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// clock writes the time since the start of a story: 00:42, 1:02:03.
func clock(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// clean makes text safe for a terminal: one line, no control characters. It
// may come from a service, a host or another person.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			return -1
		}
		return r
	}, strings.TrimSpace(s))
}
