package router

import (
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/go-shipper/shipper/host/router/strict"
)

// isPlain requests are repeatable ones that hold nothing that would have to be
// written in another way than it came.
func isPlain(r *http.Request) bool {
	return isRepeatable(r) && r.Header["Expect"] == nil &&
		r.URL.Opaque == "" && visible(r.URL.RawQuery) && simpleHost(r.Host)
}

// isRepeatable requests have no body, may be sent twice, and end with their
// answer.
func isRepeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		return false
	}
	bodyless := (r.Body == nil || r.Body == http.NoBody) && r.ContentLength == 0 && len(r.TransferEncoding) == 0 && len(r.Trailer) == 0
	return bodyless && r.Header["Upgrade"] == nil
}

// visible: no space and no control character.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// simpleHost is a name or an address of which nothing is cut or translated.
func simpleHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > ':') && c != '.' && c != '-' && c != '_' && c != '[' && c != ']' {
			return false
		}
	}
	return s != ""
}

// appendRequest writes a plain request as ReverseProxy and net/http would,
// without the copy that they need on the way.
func appendRequest(b []byte, r *http.Request) []byte {
	b = append(append(b, r.Method...), ' ')
	b = append(append(b, r.URL.RequestURI()...), " HTTP/1.1\r\nHost: "...)
	b = append(append(b, r.Host...), "\r\n"...)
	gone := listed(r.Header)
	if agent := r.Header.Get("User-Agent"); agent != "" && !slices.Contains(gone, "User-Agent") {
		b = appendField(b, "User-Agent", agent)
	}
	var room [24]string
	names := room[:0]
	for name := range r.Header {
		if travels(name, gone) {
			names = append(names, name)
		}
	}
	if wantsTrailers(r.Header["Te"]) {
		names = append(names, "Te")
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "Te" {
			b = append(b, "Te: trailers\r\n"...)
			continue
		}
		for _, value := range r.Header[name] {
			b = appendField(b, name, value)
		}
	}
	return append(b, "\r\n"...)
}

// appendField lets no value begin another line, whoever let it come so far.
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	from := len(b)
	b = append(b, textproto.TrimString(value)...)
	for i, c := range b[from:] {
		if c == '\r' || c == '\n' {
			b[from+i] = ' '
		}
	}
	return append(b, "\r\n"...)
}

// travels reports a request's header that is written as it is.
func travels(name string, gone []string) bool {
	switch name {
	case "Host", "User-Agent", "Content-Length", "Forwarded":
		return false
	case forwardedFor, forwardedHost, forwardedProto:
		return true // the router's own, whatever the client lists
	}
	return !isHop(name) && !slices.Contains(gone, name) && strict.IsToken(name)
}

// isHop reports a header that belongs to one connection.
func isHop(name string) bool {
	switch name {
	case "Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// listed are the headers which a message says belong to its connection.
func listed(h http.Header) (names []string) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = textproto.TrimString(name); name != "" {
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	return names
}

func wantsTrailers(te []string) bool {
	for _, line := range te {
		for word := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(textproto.TrimString(word), "trailers") {
				return true
			}
		}
	}
	return false
}

// pass hands an answer to the client. One that is cut on the way ends in the
// panic which makes the server cut the client's connection too.
func pass(w http.ResponseWriter, res *http.Response, buffers *bufferPool) {
	h := w.Header()
	passHeader(h, res.Header)
	announced := len(res.Trailer)
	if announced > 0 {
		h.Add("Trailer", strings.Join(slices.Sorted(maps.Keys(res.Trailer)), ", "))
	}
	w.WriteHeader(res.StatusCode)
	if res.Body != http.NoBody && passBody(w, res, buffers) != nil {
		panic(http.ErrAbortHandler)
	}
	if len(res.Trailer) == 0 {
		return
	}
	flush(w) // so that there are chunks, which trailers follow
	for name, values := range res.Trailer {
		if len(res.Trailer) != announced {
			name = http.TrailerPrefix + name
		}
		h[name] = append(h[name], values...)
	}
}

// passHeader leaves out what belongs to the instance's connection.
func passHeader(to, from http.Header) {
	for _, name := range listed(from) {
		delete(from, name)
	}
	for name, values := range from {
		switch there, ok := to[name]; {
		case isHop(name):
		case ok:
			to[name] = append(there, values...)
		default:
			to[name] = values
		}
	}
}

// passInterim tells an answer before the answer. The header of the latter is
// kept for it.
func passInterim(w http.ResponseWriter, res *http.Response) {
	h := w.Header()
	kept := maps.Clone(h)
	clear(h)
	passHeader(h, res.Header)
	w.WriteHeader(res.StatusCode)
	clear(h)
	maps.Copy(h, kept)
}

// passBody copies. What has no length, or consists of events, is not held back.
func passBody(w http.ResponseWriter, res *http.Response, buffers *bufferPool) error {
	live := res.ContentLength == -1 || isEvents(res.Header["Content-Type"])
	if live {
		flush(w)
	}
	buf := buffers.Get()
	defer buffers.Put(buf)
	for {
		n, err := res.Body.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if live {
				flush(w)
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

func isEvents(kind []string) bool {
	if len(kind) == 0 {
		return false
	}
	name, _, _ := strings.Cut(kind[0], ";")
	return strings.EqualFold(textproto.TrimString(name), "text/event-stream")
}

// flush sends what was written. That a client has left is learnt by the next
// write.
func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
