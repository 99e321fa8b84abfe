package host

import (
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
		var trouble bool
		switch r.Type {
		case journal.TypeRunStarted, journal.TypeSession, journal.TypeCommitted:
		case journal.TypeUndone:
			trouble = true
		case journal.TypeVerdict:
			if trouble = strings.Contains(string(r.Data), `"outcome":"Failed"`); !trouble {
				continue
			}
		case journal.TypeResult:
			trouble = !strings.Contains(string(r.Data), `"exit":0,`)
		default:
			continue
		}
		text := fmt.Sprintf("%s, run %s: %s %s", s.name, r.Run, r.Type, r.Data)
		s.g.opts.Event(Event{trouble, strings.ToValidUTF8(text[:min(len(text), maxEvent)], "")})
	}
}
