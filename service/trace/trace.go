// Package trace carries a request's W3C trace context from the client's
// traceparent header through the context to the requests that the service
// makes itself. Package log writes its identifier into each line. It records
// no spans; an OpenTelemetry SDK behind or before the service sees one trace.
package trace

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
)

// Parent is a trace context: which trace this is a part of, and which part.
// The zero Parent is none.
type Parent struct {
	Trace [16]byte // of the whole, over all services; never all zero
	Span  [8]byte  // of this service's part; never all zero
	Flags byte     // Sampled, Random
	State string   // tracestate: what tracing systems tell each other, unread; at most 512 bytes
}

// Flags of a Parent; others are not passed on.
const (
	Sampled byte = 1 << iota // somebody keeps it
	Random                   // at least the last 7 bytes of the trace identifier are random
)

// ErrMalformed says that a text is no traceparent.
var ErrMalformed = errors.New("malformed traceparent")

const (
	parentLength = 55 // of version 00: 2-32-16-2 hexadecimal digits
	stateLength  = 512
)

// Parse reads a traceparent header. Of versions after 00 it reads what 00 has,
// as the standard wants it. Errors are ErrMalformed.
func Parse(header string) (Parent, error) {
	if len(header) < parentLength {
		return Parent{}, fmt.Errorf("%w: %d bytes", ErrMalformed, len(header))
	}
	var version, flags [1]byte
	var p Parent
	whole := header[2] == '-' && header[35] == '-' && header[52] == '-' &&
		lowerHex(version[:], header[:2]) && lowerHex(p.Trace[:], header[3:35]) &&
		lowerHex(p.Span[:], header[36:52]) && lowerHex(flags[:], header[53:55])
	switch {
	case !whole:
		return Parent{}, fmt.Errorf("%w: not of the form 00-trace-span-flags", ErrMalformed)
	case version[0] == 0xff:
		return Parent{}, fmt.Errorf("%w: version ff is forbidden", ErrMalformed)
	case version[0] == 0 && len(header) != parentLength, len(header) > parentLength && header[parentLength] != '-':
		return Parent{}, fmt.Errorf("%w: more than version %x has", ErrMalformed, version)
	case p.Trace == [16]byte{}, p.Span == [8]byte{}:
		return Parent{}, fmt.Errorf("%w: an identifier is zero", ErrMalformed)
	}
	p.Flags = flags[0] & (Sampled | Random)
	return p, nil
}

// lowerHex decodes s, which is twice as long as to. Upper case is not allowed.
func lowerHex(to []byte, s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(to, []byte(s))
	return err == nil
}

// New begins a trace: random, sampled.
func New() Parent {
	p := Parent{Flags: Sampled | Random}
	fill(p.Trace[:])
	fill(p.Span[:])
	return p
}

// Child is the same trace with a span of its own.
func (p Parent) Child() Parent {
	fill(p.Span[:])
	return p
}

// fill makes an identifier. It is a name, no secret: a fast generator does.
func fill(id []byte) {
	for i := 0; i < len(id); i += 8 {
		binary.BigEndian.PutUint64(id[i:], rand.Uint64()|1) // never zero
	}
}

// Valid reports whether p is a trace context at all.
func (p Parent) Valid() bool { return p.Trace != [16]byte{} && p.Span != [8]byte{} }

// String is the traceparent header of version 00, empty for no trace.
func (p Parent) String() string {
	if !p.Valid() {
		return ""
	}
	b := make([]byte, 0, parentLength)
	b = append(b, "00-"...)
	b = append(hex.AppendEncode(b, p.Trace[:]), '-')
	b = append(hex.AppendEncode(b, p.Span[:]), '-')
	return string(hex.AppendEncode(b, []byte{p.Flags & (Sampled | Random)}))
}

type key struct{}

// With returns a context that is a part of the trace.
func With(ctx context.Context, p Parent) context.Context { return context.WithValue(ctx, key{}, &p) }

// From returns the trace that ctx is a part of, and false if there is none.
func From(ctx context.Context) (Parent, bool) {
	if p, ok := ctx.Value(key{}).(*Parent); ok {
		return *p, true
	}
	return Parent{}, false
}
