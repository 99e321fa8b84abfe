package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

var errEnded = errors.New("the load generator ended")

// Key says who answered. Version and Slot are empty if the answer named none:
// then it was something before the service, the router for example.
type Key struct{ URL, Version, Slot string }

// Loss is a way in which a request got no whole answer.
type Loss string

// Losses.
const (
	Refused Loss = "refused" // no connection
	Cut     Loss = "cut"     // the connection ended before the answer did
	Timeout Loss = "timeout" // no whole answer in time
	Other   Loss = "other"
)

// Count of answers, or of losses.
type Count struct {
	OK          int64 // status below 500
	Failed      int64 // status 500 and above; or lost
	First, Last time.Time
	FirstFailed time.Time
	LastFailed  time.Time
	Slowest     time.Duration
	Example     string // the first failure, in words
}

// Report is what became of all requests.
type Report struct {
	Began time.Time
	Ended time.Time // zero while it runs
	Late  int64     // requests that had to wait for a free client
	// Reopened are WebSockets that were closed as the protocol wants it.
	Reopened int64
	Answers  map[Key]Count
	Losses   map[Loss]Count
}

func (r *Report) count(key Key, status int, err error, at time.Time, took time.Duration) {
	if err != nil {
		kind := lossOf(err)
		c := r.Losses[kind]
		c.add(false, at, took, fmt.Sprintf("%s of %s %s, %v after it was asked for: %v", key.URL, key.Version, key.Slot, took.Round(time.Millisecond), err))
		r.Losses[kind] = c
		return
	}
	c := r.Answers[key]
	c.add(status < 500, at, took, fmt.Sprintf("%s: status %d", key.URL, status))
	r.Answers[key] = c
}

func (c *Count) add(ok bool, at time.Time, took time.Duration, what string) {
	if c.First.IsZero() {
		c.First = at
	}
	c.Last, c.Slowest = at, max(c.Slowest, took)
	if ok {
		c.OK++
		return
	}
	if c.Failed == 0 {
		c.FirstFailed, c.Example = at, what
	}
	c.Failed++
	c.LastFailed = at
}

// lossOf sorts errors by what a user would have seen.
func lossOf(err error) Loss {
	var netErr net.Error
	var op *net.OpError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return Timeout
	case errors.As(err, &op) && op.Op == "dial":
		return Refused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return Cut
	case strings.Contains(err.Error(), "server closed idle connection"): // net/http exports no such error
		return Cut
	}
	return Other
}

func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (r Report) clone() Report {
	r.Answers, r.Losses = maps.Clone(r.Answers), maps.Clone(r.Losses)
	return r
}

// Sent is the number of requests that ended, one way or another.
func (r Report) Sent() int64 {
	c := r.Sum(nil)
	return c.OK + c.Failed + r.Lost().Failed
}

// Sum adds up the answers of those that match; nil matches all.
func (r Report) Sum(match func(Key) bool) Count {
	var sum Count
	for key, c := range r.Answers {
		if match == nil || match(key) {
			sum.merge(c)
		}
	}
	return sum
}

// Of adds up the answers of one version.
func (r Report) Of(version string) Count {
	return r.Sum(func(k Key) bool { return k.Version == version })
}

// Lost adds up the requests that got no whole answer.
func (r Report) Lost() Count {
	var sum Count
	for _, c := range r.Losses {
		sum.merge(c)
	}
	return sum
}

// Failed adds up everything that went wrong, answered and lost.
func (r Report) Failed() Count {
	sum := r.Sum(nil)
	sum.merge(r.Lost())
	return sum
}

func (c *Count) merge(other Count) {
	c.OK += other.OK
	if other.Failed > 0 && (c.Failed == 0 || other.FirstFailed.Before(c.FirstFailed)) {
		c.FirstFailed, c.Example = other.FirstFailed, other.Example
	}
	c.Failed += other.Failed
	c.First = earlier(c.First, other.First)
	if other.Last.After(c.Last) {
		c.Last = other.Last
	}
	if other.LastFailed.After(c.LastFailed) {
		c.LastFailed = other.LastFailed
	}
	c.Slowest = max(c.Slowest, other.Slowest)
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// String is a table for people: a line per version and slot, then the losses.
func (r Report) String() string {
	rows := map[Key]Count{}
	for key, c := range r.Answers {
		key.URL = ""
		sum := rows[key]
		sum.merge(c)
		rows[key] = sum
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "version\tslot\tok\tfailed\tslowest")
	keys := slices.SortedFunc(maps.Keys(rows), func(a, b Key) int {
		return cmp.Or(strings.Compare(a.Version, b.Version), strings.Compare(a.Slot, b.Slot))
	})
	for _, key := range keys {
		c := rows[key]
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\n", orDash(key.Version), orDash(key.Slot), c.OK, c.Failed, fmt.Sprintf("%d ms", c.Slowest.Milliseconds()))
	}
	w.Flush()
	fmt.Fprintf(&out, "sent %d, refused %d, cut %d, timed out %d, lost otherwise %d\n", r.Sent(),
		r.Losses[Refused].Failed, r.Losses[Cut].Failed, r.Losses[Timeout].Failed, r.Losses[Other].Failed)
	return out.String()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
