package trace

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestParse(t *testing.T) {
	tests := map[string]bool{
		given: true,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00":         true,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff":         true, // unknown flags are dropped
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":         true, // a later version …
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what":    true, // … that has more
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what":    false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what":    false,
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":         false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":         false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":         false,
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01":         false,
		"0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":          false,
		"00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01":         false,
		"00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-011":         false,
		"00-4bf92f3577b34da6a3ce929d0e0e47360-00f067aa0ba902b7-1":         false,
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0" + "\x00": false,
		"": false,
	}
	for header, good := range tests {
		p, err := Parse(header)
		if good != (err == nil) || good != p.Valid() || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v", header, p, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(given)
	f.Add("cc" + given[2:] + "-what")
	f.Add("ff" + given[2:])
	f.Fuzz(func(t *testing.T, header string) {
		p, err := Parse(header)
		if err != nil {
			if p != (Parent{}) {
				t.Errorf("%+v beside %v", p, err)
			}
			return
		}
		again, err := Parse(p.String())
		if err != nil || again != p || !strings.HasPrefix(header[2:], p.String()[2:53]) {
			t.Errorf("%q became %q: %v", header, p, err)
		}
	})
}

// One trace through a service: what it is asked with is in its context, and
// what it asks others with has the same trace, and another span.
func TestThroughAService(t *testing.T) {
	var asked http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.Header }))
	defer other.Close()
	client := http.Client{Transport: Transport(nil)}
	service := Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		onward, err := http.NewRequestWithContext(r.Context(), "GET", other.URL, nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := client.Do(onward)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
		if len(onward.Header) != 0 {
			t.Errorf("the caller's request was changed: %v", onward.Header)
		}
	}))
	tests := map[string]struct {
		header http.Header
		trace  string // wanted; empty: a new one
		state  string
	}{
		"given":      {http.Header{"Traceparent": {given}, "Tracestate": {"a=1", "b=2"}}, given[3:35], "a=1,b=2"},
		"none":       {http.Header{}, "", ""},
		"two":        {http.Header{"Traceparent": {given, given}}, "", ""},
		"malformed":  {http.Header{"Traceparent": {"hello"}, "Tracestate": {"a=1"}}, "", ""},
		"long state": {http.Header{"Traceparent": {given}, "Tracestate": {strings.Repeat("a", 513)}}, given[3:35], ""},
		"bad state":  {http.Header{"Traceparent": {given}, "Tracestate": {"a=\x01"}}, given[3:35], ""},
	}
	for name, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header = tt.header
		service.ServeHTTP(httptest.NewRecorder(), r)
		p, err := Parse(asked.Get("traceparent"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sent := p.String()
		if tt.trace != "" && (sent[3:35] != tt.trace || sent[36:52] == given[36:52]) || tt.trace == "" && strings.Contains(sent, given[3:35]) {
			t.Errorf("%s: sent %s", name, sent)
		}
		if asked.Get("tracestate") != tt.state {
			t.Errorf("%s: sent tracestate %q", name, asked.Get("tracestate"))
		}
	}
}

func TestTransportLeavesOthersAlone(t *testing.T) {
	var seen *http.Request
	next := roundTripper(func(r *http.Request) { seen = r })
	r := httptest.NewRequest("GET", "/", nil)
	Transport(next).RoundTrip(r)
	if seen != r {
		t.Error("a request without a trace was copied")
	}
	r = r.WithContext(With(r.Context(), New()))
	r.Header.Set("traceparent", given)
	Transport(next).RoundTrip(r)
	if seen.Header.Get("traceparent") != given {
		t.Errorf("a traceparent was replaced by %q", seen.Header.Get("traceparent"))
	}
}

type roundTripper func(*http.Request)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return nil, http.ErrNotSupported
}
