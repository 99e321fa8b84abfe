package pipeline

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/go-shipper/shipper/journal"
)

// story numbers the records of one run, shows them as they happen, and keeps
// those that belong on the hosts until they were handed over.
type story struct {
	mu      sync.Mutex
	run     string
	seq     int64
	now     func() time.Time
	emit    func(journal.Record)
	stored  []journal.Record
	changed chan struct{}
	hotfix  bool   // for the record that opens the run
	retries string // the run that it goes on with
	origin  *journal.Provenance
}

func newStory(run string, now func() time.Time, emit func(journal.Record)) *story {
	return &story{run: run, now: now, emit: emit, changed: make(chan struct{})}
}

// tell adds one record; host is empty for what concerns the whole run.
func (s *story) tell(kind, host string, data any) journal.Record {
	raw, err := json.Marshal(data)
	if err != nil { // only our own plain structs reach this
		raw = json.RawMessage(`null`)
	}
	return s.add(kind, host, raw, s.emit)
}

// keep stores a record on the hosts without showing it.
func (s *story) keep(kind string, data any) {
	raw, err := json.Marshal(data)
	if err != nil {
		raw = json.RawMessage(`null`)
	}
	s.add(kind, "", raw, nil)
}

func (s *story) add(kind, host string, raw json.RawMessage, emit func(journal.Record)) journal.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	r := journal.Record{V: journal.Version, Seq: s.seq, Time: s.now().UTC(), Run: s.run, Type: kind, Host: host, Data: raw}
	if emit != nil {
		emit(r)
	}
	if stored(kind) {
		s.stored = append(s.stored, r)
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return r
}

// note tells one sentence.
func (s *story) note(kind, host, text string) { s.tell(kind, host, journal.Note{Text: text}) }

// news is closed when the next record to store was told.
func (s *story) news() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// gatherTime is how far apart deliveries are at least: each message to a host
// costs more than a record, and records come in flocks.
const gatherTime = 300 * time.Millisecond

// deliver hands over what is to be stored: a record that comes alone at once,
// those that come right behind it together, and the rest when the story is
// over. sent is how many went before; hand is told so, and tells how many went
// in all.
func (s *story) deliver(over <-chan struct{}, sent int, hand func(sent int) int) {
	for news := s.news(); ; news = s.news() {
		sent = hand(sent)
		rest := time.After(gatherTime)
		if !either(news, over) {
			hand(sent)
			return
		}
		either(rest, over)
	}
}

// either waits for one of the two and tells whether it was the first.
func either[T any](first <-chan T, over <-chan struct{}) bool {
	select {
	case <-first:
		return true
	case <-over:
		return false
	}
}

// after returns the stored records from index i on.
func (s *story) after(i int) []journal.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]journal.Record(nil), s.stored[min(i, len(s.stored)):]...)
}

// stored reports whether hosts keep records of this type.
func stored(kind string) bool {
	switch kind {
	case journal.TypeProgress, journal.TypeServiceState, journal.TypeLog:
		return false
	}
	return true
}

func decode(r journal.Record, into any) error {
	if err := json.Unmarshal(r.Data, into); err != nil {
		return fmt.Errorf("read record %d of run %s: %w", r.Seq, r.Run, err)
	}
	return nil
}
