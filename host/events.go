package host

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-shipper/shipper/journal"
)

// Event is a line for the host's event log.
type Event struct {
	Trouble bool
	Text    string
}

// maxEvent bounds the text of an event, in bytes.
const maxEvent = 4 << 10

// announce tells the event log what of a run people look for there: who began
// it, how it was judged, what became of it. The journal has the rest.
func (s *service) announce(records ...journal.Record) {
	if s.g.opts.Event == nil {
		return
	}
	for _, r := range records {
		worth, trouble := weigh(r)
		if !worth {
			continue
		}
		text := fmt.Sprintf("%s, run %s: %s %s", s.name, r.Run, r.Type, r.Data)
		s.g.opts.Event(Event{trouble, strings.ToValidUTF8(text[:min(len(text), maxEvent)], "")})
	}
}

// weigh tells whether a record belongs there, and as trouble.
func weigh(r journal.Record) (worth, trouble bool) {
	switch r.Type {
	case journal.TypeRunStarted, journal.TypeSession, journal.TypeCommitted:
		return true, false
	case journal.TypeUndone:
		return true, true
	case journal.TypeVerdict:
		var v journal.Verdict
		bad := json.Unmarshal(r.Data, &v) == nil && v.Outcome == "Failed"
		return bad, bad
	case journal.TypeResult:
		var res journal.Result
		return true, json.Unmarshal(r.Data, &res) != nil || res.Exit != 0
	}
	return false, false
}
