package trace

import (
	"net/http"
	"strings"
)

const (
	parentHeader = "Traceparent"
	stateHeader  = "Tracestate"
)

// Handler gives each request's context the trace of its traceparent header,
// with a span of its own, or a new trace if the header is missing, malformed
// or there twice.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(With(r.Context(), incoming(r.Header))))
	})
}

func incoming(h http.Header) Parent {
	if headers := h[parentHeader]; len(headers) == 1 {
		if p, err := Parse(headers[0]); err == nil {
			p.State = state(h[stateHeader])
			return p.Child()
		}
	}
	return New()
}

// state is what of tracestate may be passed on: all of it, or nothing if it is
// too long or holds bytes that a header may not.
func state(headers []string) string {
	s := strings.Join(headers, ",")
	if len(s) > stateLength || strings.IndexFunc(s, func(c rune) bool { return (c < ' ' && c != '\t') || c > '~' }) >= 0 {
		return ""
	}
	return s
}

// Transport sends the trace of each request's context along. Requests without
// a trace, and those that have a traceparent already, are left alone. A nil
// next is http.DefaultTransport.
func Transport(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{next: next}
}

type transport struct{ next http.RoundTripper }

// RoundTrip leaves the caller's request as it is, as http.RoundTripper demands.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	p, ok := From(r.Context())
	if !ok || r.Header.Get(parentHeader) != "" {
		return t.next.RoundTrip(r)
	}
	clone := r.Clone(r.Context())
	if clone.Header == nil {
		clone.Header = http.Header{}
	}
	clone.Header[parentHeader] = []string{p.String()}
	if p.State != "" {
		clone.Header[stateHeader] = []string{p.State}
	}
	return t.next.RoundTrip(clone)
}
