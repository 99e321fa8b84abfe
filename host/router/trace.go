package router

import (
	"encoding/hex"
	"net/http"
	"strings"

	randv2 "math/rand/v2"
)

const (
	traceparent = "Traceparent"
	tracestate  = "Tracestate"
)

// trace keeps the request's trace, or begins one where it has none or a wrong
// one (W3C Trace Context), and returns its id.
func trace(h http.Header) string {
	if values := h[traceparent]; len(values) == 1 {
		if id, ok := parseTrace(values[0]); ok {
			return id
		}
	}
	id := randomHex(16)
	h[traceparent] = []string{"00-" + id + "-" + randomHex(8) + "-00"}
	delete(h, tracestate) // it belongs to the trace that was not understood
	return id
}

// parseTrace takes version-traceid-parentid-flags; a later version may go on
// after these.
func parseTrace(s string) (id string, ok bool) {
	if len(s) < 55 || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return "", false
	}
	version, id, parent, flags := s[:2], s[3:35], s[36:52], s[53:55]
	switch {
	case !isHex(version) || !isHex(id) || !isHex(parent) || !isHex(flags),
		version == "ff", zeros(id), zeros(parent),
		version == "00" && len(s) != 55,
		len(s) > 55 && s[55] != '-':
		return "", false
	}
	return id, true
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

func zeros(s string) bool { return strings.Trim(s, "0") == "" }

// randomHex has n random bytes; an id must be new, not secret. All of them 0
// would not be valid, and does not happen in the life of the universe.
func randomHex(n int) string {
	b := make([]byte, 0, 16)
	for len(b) < n {
		v := randv2.Uint64()
		for range 8 {
			b = append(b, byte(v))
			v >>= 8
		}
	}
	return hex.EncodeToString(b[:n])
}
