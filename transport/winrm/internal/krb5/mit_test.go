//go:build linux

package krb5

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab/kdctest"
)

var texts = []string{"", "x", strings.Repeat("a", 15), strings.Repeat("b", 16), strings.Repeat("c", 17), strings.Repeat("long ", 20_000)}

// Both directions, with header and data apart as WinRM has them and in one
// piece, for all encryption types.
func TestSealingWithMIT(t *testing.T) {
	for _, kind := range []string{kdctest.AES, "aes128-cts-hmac-sha1-96", "aes128-cts-hmac-sha256-128", "aes256-cts-hmac-sha384-192"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := startRealm(t, kdctest.Options{Encryption: kind})
			for _, scheme := range []string{"kerberos", "negotiate"} {
				p := r.peer(t)
				s := p.connect(r.alice(t), scheme)
				for _, text := range texts {
					p.toMIT(s, text)
					p.fromMIT(s, text)
				}
			}
		})
	}
}

func (p *peer) toMIT(s *Session, text string) {
	p.t.Helper()
	token := s.Seal(nil, []byte(text))
	n := s.SignatureSize()
	if got := p.must("open", token[:n], token[n:]); string(got[0]) != text {
		p.t.Errorf("MIT opened %.20q, want %.20q", got[0], text)
	}
	if got := p.must("openwrap", s.Seal(nil, []byte(text))); string(got[0]) != text {
		p.t.Errorf("MIT opened %.20q in one piece, want %.20q", got[0], text)
	}
}

func (p *peer) fromMIT(s *Session, text string) {
	p.t.Helper()
	sealed := p.must("iov", []byte(text))
	if len(sealed[0]) != s.SignatureSize() || len(sealed[1]) != len(text) {
		p.t.Errorf("MIT sealed %d bytes into %d and %d", len(text), len(sealed[0]), len(sealed[1]))
	}
	if got, err := s.Open(sealed[0], sealed[1]); err != nil || string(got) != text {
		p.t.Errorf("opened %.20q, want %.20q: %v", got, text, err)
	}
	if got, err := s.Open(nil, p.must("wrap", []byte(text))[0]); err != nil || string(got) != text {
		p.t.Errorf("opened %.20q in one piece, want %.20q: %v", got, text, err)
	}
}

// Whatever the rotation, MIT opens it and so do we.
func TestRotations(t *testing.T) {
	r := startRealm(t, kdctest.Options{})
	p := r.peer(t)
	s := p.connect(r.alice(t), "kerberos")
	for _, n := range []uint16{0, 1, 12, 28, 44, 45, 500} {
		if got := p.must("openwrap", turn(s.Seal(nil, []byte("text")), n)); string(got[0]) != "text" {
			t.Errorf("turned by %d: MIT opened %q", n, got[0])
		}
		if got, err := s.Open(nil, turn(p.must("wrap", []byte("text"))[0], n)); err != nil || string(got) != "text" {
			t.Errorf("turned by %d: %q, %v", n, got, err)
		}
	}
}

// turn gives the token another rotation.
func turn(token []byte, n uint16) []byte {
	body := turnBack(bytes.Clone(token[headerSize:]), int(binary.BigEndian.Uint16(token[6:])))
	at := len(body) - int(n)%len(body)
	out := append(append(bytes.Clone(token[:headerSize]), body[at:]...), body[:at]...)
	binary.BigEndian.PutUint16(out[6:], n)
	return out
}

// What is changed, repeated, left out, or comes from the wrong side is
// refused by both.
func TestSessionRefuses(t *testing.T) {
	r := startRealm(t, kdctest.Options{})
	cases := map[string]func(token []byte) []byte{
		"a changed byte of the message": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"a changed checksum":            func(b []byte) []byte { b[headerSize+20] ^= 1; return b },
		"a changed number":              func(b []byte) []byte { b[15]++; return b },
		"a changed rotation":            func(b []byte) []byte { b[7]++; return b },
		"a changed extra count":         func(b []byte) []byte { b[5]++; return b },
		"no seal":                       func(b []byte) []byte { b[2] &^= flagSealed; return b },
		"another side":                  func(b []byte) []byte { b[2] ^= flagAcceptor; return b },
		"another key":                   func(b []byte) []byte { b[2] ^= flagSubkey; return b },
		"another filler":                func(b []byte) []byte { b[3] = 0; return b },
		"a cut token":                   func(b []byte) []byte { return b[:len(b)-1] },
		"a header only":                 func(b []byte) []byte { return b[:headerSize] },
		"nothing":                       func([]byte) []byte { return nil },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			p := r.peer(t)
			s := p.connect(r.alice(t), "kerberos")
			if got, err := s.Open(nil, change(p.must("wrap", []byte("message"))[0])); err == nil {
				t.Errorf("opened %q", got)
			}
		})
	}
	t.Run("a repeated message", func(t *testing.T) {
		p := r.peer(t)
		s := p.connect(r.alice(t), "kerberos")
		token := p.must("wrap", []byte("once"))[0]
		if _, err := s.Open(nil, bytes.Clone(token)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Open(nil, token); !errors.Is(err, errSequence) {
			t.Errorf("again: %v", err)
		}
	})
	t.Run("a missing message", func(t *testing.T) {
		p := r.peer(t)
		s := p.connect(r.alice(t), "kerberos")
		p.must("wrap", []byte("lost"))
		if _, err := s.Open(nil, p.must("wrap", []byte("second"))[0]); !errors.Is(err, errSequence) {
			t.Errorf("error %v", err)
		}
	})
}

// The logon is bound to the channel: MIT refuses another one.
func TestChannelBindingWithMIT(t *testing.T) {
	r := startRealm(t, kdctest.Options{})
	channel := []byte("tls-server-end-point:0123456789")
	structure := append(binary.LittleEndian.AppendUint32(make([]byte, 16), uint32(len(channel))), channel...)
	binding := md5.Sum(structure)
	for name, c := range map[string]struct {
		theirs []byte
		good   bool
	}{"the same": {channel, true}, "another": {append(channel, 'x'), false}} {
		t.Run(name, func(t *testing.T) {
			i, err := r.alice(t).Initiate(t.Context(), service, binding[:], false)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.peer(t).ask("accept kerberos", i.Token(), c.theirs); (err == nil) != c.good {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Who cannot read the ticket cannot answer: the answer to one logon does not
// fit another, and nothing else fits either.
func TestMutualAuthentication(t *testing.T) {
	r := startRealm(t, kdctest.Options{})
	l := r.alice(t)
	first, err := l.Initiate(t.Context(), service, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Initiate(t.Context(), service, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	answer := r.peer(t).must("accept kerberos", first.Token(), nil)[0]
	if _, err := second.Finish(answer); !errors.Is(err, ErrMutual) {
		t.Errorf("the answer to another: %v", err)
	}
	forged := bytes.Clone(answer)
	forged[len(forged)-1] ^= 1
	if _, err := first.Finish(forged); !errors.Is(err, ErrMutual) {
		t.Errorf("a changed answer: %v", err)
	}
	for name, token := range map[string][]byte{"nothing": nil, "our own token": first.Token(), "a text": []byte("hello")} {
		if _, err := first.Finish(token); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := first.Finish(answer); err != nil {
		t.Errorf("the right answer: %v", err)
	}
}
