package rpc

import (
	"encoding/json"
	"errors"
	"fmt"
)

// request is the payload of a request message.
type request struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

// BrokenError says that a connection ended before a call was answered. Err
// is the reason: one of the errors above, or what the pipe returned. The call
// may or may not have happened: ask again on a new connection.
type BrokenError struct{ Err error }

func (e *BrokenError) Error() string { return "connection to the guard: " + e.Err.Error() }

// Unwrap gives the reason.
func (e *BrokenError) Unwrap() error { return e.Err }

// Errorf returns an Error with code; %w is not kept, an Error crosses the wire as text.
func Errorf(code, hint, format string, args ...any) *Error {
	return &Error{Code: code, Hint: hint, Message: fmt.Sprintf(format, args...)}
}

// CodeOf finds the code of the Error in err's chain; empty if there is none.
func CodeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// cut splits a message into frames of at most piece bytes.
func cut(k kind, stream uint32, message []byte, piece int) []frame {
	var out []frame
	for at := 0; ; {
		n := min(piece, len(message)-at)
		out = append(out, frame{
			kind: k, stream: stream, more: at+n < len(message),
			offset: uint64(at), payload: message[at : at+n],
		})
		if at += n; at >= len(message) {
			return out
		}
	}
}

// assembler joins the pieces of messages that arrive interleaved.
type assembler struct {
	parts map[uint32][]byte // by stream
	bytes int               // of all parts: unfinished messages are bounded together
}

// add returns the whole message once its last piece came.
func (a *assembler) add(f frame) ([]byte, bool, error) {
	part := a.parts[f.stream]
	if f.offset != uint64(len(part)) {
		return nil, false, fmt.Errorf("%w: piece of stream %d at %d, want %d", ErrProtocol, f.stream, f.offset, len(part))
	}
	if a.bytes+len(f.payload) > MaxMessage {
		return nil, false, fmt.Errorf("%w: message above %d bytes", ErrProtocol, MaxMessage)
	}
	if !f.more && part == nil {
		return f.payload, true, nil
	}
	part = append(part, f.payload...)
	a.bytes += len(f.payload)
	if f.more {
		if a.parts == nil {
			a.parts = map[uint32][]byte{}
		}
		a.parts[f.stream] = part
		return nil, false, nil
	}
	delete(a.parts, f.stream)
	a.bytes -= len(part)
	return part, true, nil
}

// drop forgets an unfinished message whose sender gave up.
func (a *assembler) drop(stream uint32) {
	a.bytes -= len(a.parts[stream])
	delete(a.parts, stream)
}
