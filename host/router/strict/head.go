package strict

import (
	"bytes"
	"strconv"
)

// head is what of a request's head decides where it goes and where it ends.
type head struct {
	old      bool   // HTTP/1.0
	options  bool   // the method
	connect  bool   // the method
	target   []byte // its host, if it names one
	host     []byte
	hosts    int
	lengths  int
	length   int64
	codings  int
	chunked  bool
	absolute bool
}

func (h *head) reset() { *h = head{target: h.target[:0], host: h.host[:0]} }

// request reads METHOD SP TARGET SP VERSION.
func (h *head) request(line []byte) error {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case !token(method):
		return Refusal("no method")
	case string(version) == "HTTP/1.0":
		h.old = true
	case string(version) != "HTTP/1.1":
		return Refusal("no version of HTTP that is known")
	}
	h.options, h.connect = string(method) == "OPTIONS", string(method) == "CONNECT"
	return h.aim(target)
}

// aim reads the target: a path, a whole address, or * of OPTIONS.
func (h *head) aim(target []byte) error {
	if bytes.ContainsAny(target, "\t#") || len(target) == 0 {
		return Refusal("no target")
	}
	if target[0] == '/' || h.options && string(target) == "*" || h.connect {
		return nil
	}
	scheme, rest, found := bytes.Cut(target, []byte("://"))
	if !found || !bytes.EqualFold(scheme, []byte("http")) && !bytes.EqualFold(scheme, []byte("https")) {
		return Refusal("a target that is no path")
	}
	if end := bytes.IndexAny(rest, "/?"); end >= 0 {
		rest = rest[:end]
	}
	h.absolute, h.target = true, append(h.target, rest...)
	return nil
}

// field reads a header line.
func (h *head) field(line []byte) error {
	name, value, err := split(line)
	if err != nil {
		return err
	}
	switch {
	case is(name, "host"):
		h.hosts++
		h.host = append(h.host[:0], value...)
	case is(name, "content-length"):
		h.lengths++
		if h.length, err = length(value); err != nil {
			return err
		}
	case is(name, "transfer-encoding"):
		h.codings++
		h.chunked = is(value, "chunked")
		if !h.chunked {
			return Refusal("a transfer encoding other than chunked")
		}
	case disguised(name):
		return Refusal("a length in disguise")
	}
	return nil
}

// check looks at the head as a whole.
func (h *head) check() error {
	switch {
	case h.hosts > 1 || h.hosts == 0 && !h.old:
		return Refusal("not one host")
	case h.hosts == 1 && !plausible(h.host):
		return Refusal("a host that is none")
	case h.absolute && !bytes.EqualFold(h.target, h.host):
		return Refusal("two hosts")
	case h.lengths > 1:
		return Refusal("two lengths")
	case h.codings > 1:
		return Refusal("two transfer encodings")
	case h.codings == 1 && h.lengths == 1:
		return Refusal("a length and a transfer encoding")
	case h.codings == 1 && h.old:
		return Refusal("a transfer encoding in HTTP/1.0")
	case h.connect && h.codings+h.lengths > 0:
		return Refusal("CONNECT with a body")
	}
	return nil
}

// trailer reads a line after the last chunk. What frames or routes a message
// has no place there.
func trailer(line []byte) error {
	name, _, err := split(line)
	if err != nil {
		return err
	}
	for _, wrong := range []string{"host", "content-length", "transfer-encoding", "trailer", "connection", "upgrade", "authorization"} {
		if is(name, wrong) {
			return Refusal("a trailer that belongs into the head")
		}
	}
	return nil
}

// split cuts a line at its colon. A line that begins with a space would go on
// with the one before (obs-fold): no token begins so.
func split(line []byte) (name, value []byte, err error) {
	name, value, found := bytes.Cut(line, []byte(":"))
	if !found || !token(name) {
		return nil, nil, Refusal("no header line")
	}
	return name, bytes.Trim(value, " \t"), nil
}

// length is digits and nothing else.
func length(value []byte) (int64, error) {
	if len(value) == 0 || len(value) > 18 {
		return 0, Refusal("no length")
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, Refusal("no length")
		}
	}
	return strconv.ParseInt(string(value), 10, 64)
}

// disguised: instances that make variables of headers do not tell - from _.
func disguised(name []byte) bool {
	if len(name) != len("content-length") && len(name) != len("transfer-encoding") || bytes.IndexByte(name, '_') < 0 {
		return false
	}
	plain := bytes.ReplaceAll(name, []byte("_"), []byte("-"))
	return is(plain, "content-length") || is(plain, "transfer-encoding")
}

func is(name []byte, want string) bool {
	if len(name) != len(want) {
		return false
	}
	for i := range name {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// plausible: a name or an address, perhaps with a port; no user, path or list.
func plausible(host []byte) bool {
	return !bytes.ContainsAny(host, " \t/\\@?#,;<>\"'{}|^`")
}

// IsToken reports whether a header's name is one.
func IsToken(name string) bool {
	for i := range len(name) {
		if !tokenByte[name[i]] {
			return false
		}
	}
	return name != ""
}

func token(name []byte) bool {
	for _, c := range name {
		if !tokenByte[c] {
			return false
		}
	}
	return len(name) > 0
}

// tokenByte are the bytes of names and methods.
var tokenByte = func() (is [256]bool) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		is[c] = true
	}
	return is
}()
