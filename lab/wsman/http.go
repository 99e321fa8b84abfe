package wsman

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
)

// sealedOverhead is what sealing adds to an envelope at most, in bytes.
const sealedOverhead = 4 << 10

// handler answers on one of the two ports.
func (s *Server) handler(secure bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "Microsoft-HTTPAPI/2.0")
		if s.faults.refuse(w) {
			return
		}
		if r.URL.Path != "/wsman" && r.URL.Path != "/wsman-anon/identify" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		memory := s.bodies.get()
		defer s.bodies.put(memory)
		body, ok := s.readBody(w, r, memory)
		if !ok {
			return
		}
		s.faults.delay(r.Context())
		if r.URL.Path != "/wsman" || r.Header.Get("WSMANIDENTIFY") == "unauthenticated" {
			s.identify(w, body)
			return
		}
		s.authenticated(w, r, body, secure)
	})
}

// bodies is the memory of requests, used again and again. What is made of a
// request and outlives it is a copy.
type bodies struct{ pool sync.Pool }

func (b *bodies) get() *bytes.Buffer {
	if m, ok := b.pool.Get().(*bytes.Buffer); ok {
		m.Reset()
		return m
	}
	return &bytes.Buffer{}
}

func (b *bodies) put(m *bytes.Buffer) { b.pool.Put(m) }

// readBody reads a request that is not larger than an envelope may be.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, body *bytes.Buffer) ([]byte, bool) {
	limit := int64(s.config.Limits.EnvelopeKB)<<10 + sealedOverhead
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return nil, false
	}
	body.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead) // no larger than the limit
	_, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
	}
	return body.Bytes(), err == nil
}

// authenticated lets a request in, and opens it where it is sealed.
func (s *Server) authenticated(w http.ResponseWriter, r *http.Request, body []byte, secure bool) {
	c, _ := r.Context().Value(connKey{}).(*connection)
	user := s.authenticate(w, r, c, secure)
	if user == "" {
		return
	}
	if len(body) == 0 {
		w.WriteHeader(http.StatusOK) // a logon without a message
		return
	}
	sealed := strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/encrypted")
	if !sealed && !secure {
		s.config.Logf("plain message refused")
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	if sealed {
		plain, err := unseal(c.security, body)
		if err != nil {
			s.config.Logf("sealed message refused: %v", err)
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = plain
	}
	if len(body) > s.config.Limits.EnvelopeKB<<10 {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	call := call{user: user, from: clientIP(r), connection: c}
	if sealed {
		call.sealed = protocolOf(r.Header.Get("Content-Type"))
	}
	s.answer(w, r, body, call)
}

// call is who asks, and how the reply must travel.
type call struct {
	user, from string
	sealed     string // in this protocol; empty: not
	connection *connection
}

func clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// answer performs the operation. A reply that could not be written is taken
// back, so that asking again gives the same output.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, body []byte, c call) {
	req, err := parseRequest(body)
	var out reply
	if err == nil {
		out, err = s.dispatch(r.Context(), req, c)
	} else if _, ok := err.(*fault); !ok {
		err = faultf(faultSchema, "%v", err)
	}
	status := http.StatusOK
	if err != nil {
		status = http.StatusInternalServerError
		out.envelope = asFault(err).envelope(req, s.config.Computer)
	}
	if err := s.write(w, status, out.envelope, c); err != nil && out.undo != nil {
		out.undo()
	}
}

// write sends an envelope in chunks, sealed where the request was.
func (s *Server) write(w http.ResponseWriter, status int, plain []byte, c call) error {
	contentType := "application/soap+xml;charset=UTF-8"
	if c.sealed != "" {
		contentType = fmt.Sprintf(sealedType, c.sealed)
		sealed, err := seal(c.connection.security, c.sealed, plain)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return err
		}
		plain = sealed
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	if _, err := w.Write(plain); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush() // before the handler's end: the body becomes chunked
}
