// Package certs holds the certificates of a public address: from files, or
// from the machine's own store, fresh ones taken as they come.
package certs

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

const (
	maxFile = 1 << 20             // bytes
	soon    = 14 * 24 * time.Hour // an end that is near enough to say so
)

// Status is what is served in place of one certificate of a route.
type Status struct {
	Source   string    `json:"source"`
	Names    []string  `json:"names,omitempty"`
	NotAfter time.Time `json:"notAfter,omitzero"`
	Problem  string    `json:"problem,omitempty"` // why no fresh one is, or that it ends soon
}

// Set are the certificates of one route. Reading them takes no lock.
type Set struct {
	sources []rpc.Certificate
	now     func() time.Time
	mu      sync.Mutex // one Refresh at a time
	current atomic.Pointer[[]entry]
}

// entry is immutable.
type entry struct {
	cert *tls.Certificate // nil: there never was a good one
	seen [sha256.Size]byte
	err  error // of the last look
}

// Load reads all of them; each must be good.
func Load(sources []rpc.Certificate, now func() time.Time) (*Set, error) {
	s := Open(sources, now)
	var errs []error
	for _, e := range *s.current.Load() {
		errs = append(errs, e.err)
	}
	return s, errors.Join(errs...)
}

// Open reads what can be read; Status tells what is wrong.
func Open(sources []rpc.Certificate, now func() time.Time) *Set {
	s := &Set{sources: sources, now: now}
	first := make([]entry, len(sources))
	s.current.Store(&first)
	s.Refresh()
	return s
}

// Refresh takes what changed, if it is good, and keeps the old one otherwise.
// It gives what is new to tell: of each certificate that changed, or that went
// wrong in another way than before.
func (s *Set) Refresh() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var news []error
	next := slices.Clone(*s.current.Load())
	for i, source := range s.sources {
		old := next[i]
		next[i] = s.look(source, old)
		if e := next[i]; e.err != nil && (old.err == nil || old.err.Error() != e.err.Error()) {
			news = append(news, e.err)
		}
	}
	s.current.Store(&next)
	return news
}

// look reads one again.
func (s *Set) look(source rpc.Certificate, old entry) entry {
	cert, seen, err := read(source, old)
	if err != nil {
		old.err = fmt.Errorf("certificate %s: %w", name(source), err)
		return old
	}
	if cert == old.cert {
		return old
	}
	if err := s.dated(cert); err != nil {
		old.err = fmt.Errorf("certificate %s: %w", name(source), err)
		if old.cert != nil {
			return old
		}
		return entry{cert, seen, old.err} // better than none
	}
	return entry{cert, seen, nil}
}

// read gives old's certificate if nothing changed.
func read(source rpc.Certificate, old entry) (*tls.Certificate, [sha256.Size]byte, error) {
	if source.Cert == "" {
		return fromStore(source, old)
	}
	chain, err := readFile(source.Cert)
	if err != nil {
		return nil, old.seen, err
	}
	key, err := readFile(source.Key)
	if err != nil {
		return nil, old.seen, err
	}
	seen := sha256.Sum256(slices.Concat(chain, []byte{0}, key))
	if seen == old.seen && old.cert != nil && old.err == nil {
		return old.cert, seen, nil
	}
	cert, err := tls.X509KeyPair(chain, key)
	return &cert, seen, err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(data) > maxFile {
		return nil, fmt.Errorf("read %s: more than %d bytes", path, maxFile)
	}
	return data, err
}

func (s *Set) dated(cert *tls.Certificate) error {
	switch now := s.now(); {
	case now.After(cert.Leaf.NotAfter):
		return fmt.Errorf("it ended on %s", cert.Leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(cert.Leaf.NotBefore):
		return fmt.Errorf("it begins on %s", cert.Leaf.NotBefore.UTC().Format(time.DateOnly))
	}
	return nil
}

// Status tells of each what is served.
func (s *Set) Status() []Status {
	var all []Status
	for i, e := range *s.current.Load() {
		st := Status{Source: name(s.sources[i])}
		if e.cert != nil {
			st.Names, st.NotAfter = names(e.cert), e.cert.Leaf.NotAfter
			if left := st.NotAfter.Sub(s.now()); left < soon {
				st.Problem = fmt.Sprintf("it ends on %s", st.NotAfter.UTC().Format(time.DateOnly))
			}
		}
		if e.err != nil {
			st.Problem = e.err.Error()
		}
		all = append(all, st)
	}
	return all
}

func names(cert *tls.Certificate) []string {
	all := slices.Clone(cert.Leaf.DNSNames)
	for _, ip := range cert.Leaf.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 && cert.Leaf.Subject.CommonName != "" {
		all = append(all, cert.Leaf.Subject.CommonName)
	}
	return all
}

func name(c rpc.Certificate) string {
	switch {
	case c.Thumbprint != "":
		return "with thumbprint " + c.Thumbprint
	case c.Subject != "":
		return "of " + c.Subject
	}
	return c.Cert
}

// ErrNone is a handshake for which there is no certificate at all.
var ErrNone = errors.New("no certificate can be served")

// Find gives the first certificate of the sets that suits the client, or the
// very first one.
func Find(sets []*Set, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	var first *tls.Certificate
	for _, s := range sets {
		for _, e := range *s.current.Load() {
			if e.cert == nil {
				continue
			}
			if hello.SupportsCertificate(e.cert) == nil {
				return e.cert, nil
			}
			if first == nil {
				first = e.cert
			}
		}
	}
	if first == nil {
		return nil, ErrNone
	}
	return first, nil
}
