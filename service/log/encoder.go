package log

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// encoder appends JSON members, as slog.JSONHandler has them, but for times,
// which are in UTC.
type encoder struct{ buf []byte }

// key begins a member. Only an opened group ends in a bare brace.
func (e *encoder) key(name string) {
	if n := len(e.buf); n == 0 || e.buf[n-1] != '{' {
		e.buf = append(e.buf, ',')
	}
	e.string(name)
	e.buf = append(e.buf, ':')
}

// mark remembers where groups were opened, to take them back if they stay empty.
type mark struct{ before, after int }

func (e *encoder) openGroups(names []string) mark {
	m := mark{before: len(e.buf)}
	for _, name := range names {
		e.key(name)
		e.buf = append(e.buf, '{')
	}
	m.after = len(e.buf)
	return m
}

func (e *encoder) anythingSince(m mark) bool {
	if len(e.buf) > m.after {
		return true
	}
	e.buf = e.buf[:m.before]
	return false
}

func (e *encoder) attr(a slog.Attr) {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		e.group(a.Key, v.Group())
		return
	}
	if a.Key == "" && v.Kind() == slog.KindAny && v.Any() == nil {
		return
	}
	e.key(a.Key)
	e.value(v)
}

// group writes what is in it, in place if it has no name.
func (e *encoder) group(name string, attrs []slog.Attr) {
	var m mark
	if name != "" {
		m = e.openGroups([]string{name})
	}
	for _, a := range attrs {
		e.attr(a)
	}
	if name != "" && e.anythingSince(m) {
		e.buf = append(e.buf, '}')
	}
}

func (e *encoder) value(v slog.Value) {
	switch v.Kind() {
	case slog.KindString:
		e.string(v.String())
	case slog.KindInt64:
		e.buf = strconv.AppendInt(e.buf, v.Int64(), 10)
	case slog.KindUint64:
		e.buf = strconv.AppendUint(e.buf, v.Uint64(), 10)
	case slog.KindFloat64:
		e.float(v.Float64())
	case slog.KindBool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case slog.KindDuration:
		e.buf = strconv.AppendInt(e.buf, int64(v.Duration()), 10)
	case slog.KindTime:
		e.time(v.Time())
	default:
		e.any(v.Any())
	}
}

func (e *encoder) float(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) { // JSON has no word for them
		e.string(strconv.FormatFloat(f, 'g', -1, 64))
		return
	}
	e.buf = strconv.AppendFloat(e.buf, f, 'g', -1, 64)
}

func (e *encoder) time(t time.Time) {
	e.buf = append(e.buf, '"')
	e.buf = t.UTC().AppendFormat(e.buf, time.RFC3339Nano)
	e.buf = append(e.buf, '"')
}

func (e *encoder) hex(b []byte) {
	e.buf = append(e.buf, '"')
	e.buf = append(hex.AppendEncode(e.buf, b), '"')
}

// any writes what the value says of itself. A value that panics, or that JSON
// cannot hold, costs its own text and not the record.
func (e *encoder) any(v any) {
	start := len(e.buf)
	defer func() {
		if p := recover(); p != nil {
			e.buf = e.buf[:start]
			if rv := reflect.ValueOf(v); rv.Kind() == reflect.Pointer && rv.IsNil() {
				e.string("<nil>")
			} else {
				e.string(fmt.Sprintf("!PANIC: %v", p))
			}
		}
	}()
	_, marshals := v.(json.Marshaler)
	if err, ok := v.(error); ok && !marshals {
		e.string(err.Error())
		return
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		e.string("!ERROR:" + err.Error())
		return
	}
	e.buf = append(e.buf, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

const hexDigits = "0123456789abcdef"

// plain are the bytes that stand in a JSON string as they are.
var plain = func() (is [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

func (e *encoder) string(s string) {
	b := append(e.buf, '"')
	i := 0
	for i < len(s) && plain[s[i]] {
		i++
	}
	if i == len(s) {
		e.buf = append(append(b, s...), '"')
		return
	}
	e.buf = append(appendMixed(b, s), '"')
}

// appendMixed writes a string that may have what must be escaped.
func appendMixed(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		size := 1
		if s[i] >= utf8.RuneSelf {
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			if r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		b = append(b, s[from:i]...)
		b = appendEscaped(b, s[i:i+size])
		i += size
		from = i
	}
	return append(b, s[from:]...)
}

// appendEscaped writes one character that must not stand in a JSON string as it is.
func appendEscaped(b []byte, s string) []byte {
	switch c := s[0]; {
	case len(s) > 1: // a line separator, which some readers take for the end of the line
		return append(b, '\\', 'u', '2', '0', '2', hexDigits[s[2]&0xf])
	case c == '"', c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\r':
		return append(b, '\\', 'r')
	case c == '\t':
		return append(b, '\\', 't')
	case c < ' ':
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
	return append(b, `\ufffd`...) // no UTF-8
}
