package host

import (
	"encoding/json"
	"testing"

	"github.com/go-shipper/shipper/journal"
)

// What the event log gets depends on what a record says, however it is written.
func TestEventsOfARun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, data     string
		worth, trouble bool
	}{
		{journal.TypeRunStarted, `{}`, true, false},
		{journal.TypeCommitted, `{}`, true, false},
		{journal.TypeUndone, `{}`, true, true},
		{journal.TypeVerdict, `{"outcome": "Failed", "why": "errors"}`, true, true},
		{journal.TypeVerdict, `{"outcome": "Successful", "why": "none has \"outcome\":\"Failed\""}`, false, false},
		{journal.TypeResult, `{"verb": "deploy", "exit": 0}`, true, false},
		{journal.TypeResult, `{"exit": 3, "error": "it said \"exit\":0,"}`, true, true},
		{journal.TypeResult, `[]`, true, true},
		{journal.TypeMeasurement, `{}`, false, false},
	} {
		worth, trouble := weigh(journal.Record{Type: c.kind, Data: json.RawMessage(c.data)})
		if worth != c.worth || trouble != c.trouble {
			t.Errorf("%s %s: worth %v, trouble %v", c.kind, c.data, worth, trouble)
		}
	}
}
