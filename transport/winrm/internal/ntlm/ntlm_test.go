package ntlm

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

// The account and key of the worked example in MS-NLMP 4.2.
var example = Credentials{User: "User", Domain: "Domain", Password: "Password"}

var fixedTime = time.Unix(1700000000, 0)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHashOfTheSpecification(t *testing.T) {
	want := unhex(t, "0c868a403bfd7a93a3001ef22ef02e3f")
	if got := ntowfv2(example); !bytes.Equal(got, want) {
		t.Errorf("NTOWFv2 = %x, want %x", got, want)
	}
}

func TestSealOfTheSpecification(t *testing.T) {
	s, err := newSession(bytes.Repeat([]byte{0x55}, 16))
	if err != nil {
		t.Fatal(err)
	}
	message := s.Seal(nil, utf16le("Plaintext"))
	sig, data := message[:signatureSize], message[signatureSize:]
	if want := unhex(t, "54e50165bf1936dc996020c1811b0f06fb5f"); !bytes.Equal(data, want) {
		t.Errorf("sealed = %x, want %x", data, want)
	}
	if want := unhex(t, "01000000 7fb38ec5c55d4976 00000000"); !bytes.Equal(sig, want) {
		t.Errorf("signature = %x, want %x", sig, want)
	}
}

// The host's end of a session, to talk with ourselves.
func peers(t *testing.T) (client, host *Session) {
	t.Helper()
	key := bytes.Repeat([]byte{7}, 16)
	client, err := newSession(key)
	if err != nil {
		t.Fatal(err)
	}
	host, err = sessionFor(key, "server-to-client", "client-to-server")
	if err != nil {
		t.Fatal(err)
	}
	return client, host
}

func TestSessionRunsOn(t *testing.T) {
	client, host := peers(t)
	for i, text := range []string{"one", "", strings.Repeat("three", 10000)} {
		b := client.Seal(nil, []byte(text))
		if b, err := host.Open(b[:signatureSize], b[signatureSize:]); err != nil || string(b) != text {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}

func TestSessionRefuses(t *testing.T) {
	cases := map[string]func(b, sig []byte) ([]byte, []byte){
		"a changed byte":      func(b, sig []byte) ([]byte, []byte) { b[3] ^= 1; return b, sig },
		"a changed checksum":  func(b, sig []byte) ([]byte, []byte) { sig[5] ^= 1; return b, sig },
		"a changed sequence":  func(b, sig []byte) ([]byte, []byte) { sig[12]++; return b, sig },
		"a cut message":       func(b, sig []byte) ([]byte, []byte) { return b[:4], sig },
		"a missing signature": func(b, _ []byte) ([]byte, []byte) { return b, nil },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			client, host := peers(t)
			b := client.Seal(nil, []byte("message"))
			sealed, sig := change(b[signatureSize:], b[:signatureSize])
			if _, err := host.Open(sig, sealed); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestParseUser(t *testing.T) {
	cases := []struct{ in, user, domain string }{
		{"admin", "admin", ""},
		{`corp\admin`, "admin", "CORP"},
		{`.\admin`, "admin", ""},
		{"admin@corp.example", "admin@corp.example", ""},
	}
	for _, c := range cases {
		if user, domain := ParseUser(c.in); user != c.user || domain != c.domain {
			t.Errorf("ParseUser(%q) = %q, %q", c.in, user, domain)
		}
	}
}

func challengeWith(flags uint32, pairs avPairs) []byte {
	info := pairs.with(nil)
	b := append([]byte(nil), signature...)
	b = binary.LittleEndian.AppendUint32(b, 2)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, flags)
	b = append(b, 1, 2, 3, 4, 5, 6, 7, 8)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(info)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(info)))
	b = binary.LittleEndian.AppendUint32(b, 48)
	return append(b, info...)
}

func TestAuthenticateVerifies(t *testing.T) {
	stamp := filetime(fixedTime)
	for name, pairs := range map[string]avPairs{"with time": {{avTimestamp, stamp}}, "without time": nil} {
		t.Run(name, func(t *testing.T) {
			c := NewClient(example, true, nil)
			first := c.Negotiate()
			second := challengeWith(c.flags(), pairs)
			third, session, err := c.Authenticate(second)
			if err != nil || session == nil {
				t.Fatalf("session %v: %v", session, err)
			}
			verify(t, first, second, third)
		})
	}
}

// verify does what a host does with the third message.
func verify(t *testing.T, first, second, third []byte) {
	t.Helper()
	field := func(at int) []byte {
		n, o := binary.LittleEndian.Uint16(third[at:]), binary.LittleEndian.Uint32(third[at+4:])
		return third[o : o+uint32(n)]
	}
	nt := field(20)
	hash := ntowfv2(example)
	proof := hmacMD5(hash, second[24:32], nt[16:])
	if !bytes.Equal(proof, nt[:16]) {
		t.Error("proof does not match")
	}
	key := rc4Once(hmacMD5(hash, proof), field(52))
	mic := append([]byte(nil), third[micOffset:micOffset+16]...)
	copy(third[micOffset:], make([]byte, 16))
	if !bytes.Equal(mic, hmacMD5(key, first, second, third)) {
		t.Error("integrity code does not match")
	}
	if got := field(28); !bytes.Equal(got, utf16le("Domain")) {
		t.Errorf("domain = %x", got)
	}
}

func TestAuthenticateRefusesWeakHosts(t *testing.T) {
	for _, flag := range []uint32{flagSeal, flagSign, flagExtended, flag128, flagKeyExchange} {
		c := NewClient(example, true, nil)
		c.Negotiate()
		if _, _, err := c.Authenticate(challengeWith(c.flags()&^flag, nil)); err == nil {
			t.Errorf("accepted a challenge without %#x", flag)
		}
	}
	c := NewClient(example, false, nil)
	c.Negotiate()
	if _, s, err := c.Authenticate(challengeWith(c.flags(), nil)); err != nil || s != nil {
		t.Errorf("without sealing: session %v, %v", s, err)
	}
}

func TestChannelBinding(t *testing.T) {
	a := ChannelBinding(&x509.Certificate{Raw: []byte("a"), SignatureAlgorithm: x509.SHA256WithRSA})
	b := ChannelBinding(&x509.Certificate{Raw: []byte("a"), SignatureAlgorithm: x509.SHA384WithRSA})
	if len(a) != 16 || bytes.Equal(a, b) {
		t.Errorf("bindings %x, %x", a, b)
	}
	weak := ChannelBinding(&x509.Certificate{Raw: []byte("a"), SignatureAlgorithm: x509.SHA1WithRSA})
	if !bytes.Equal(a, weak) {
		t.Error("SHA-1 signatures must be bound by SHA-256")
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(challengeWith(flagsAsked|flagSeal|flagSign, avPairs{{avTimestamp, make([]byte, 8)}, {2, []byte("D")}}))
	f.Add(challengeWith(0, nil)[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewClient(example, true, nil)
		c.Negotiate()
		if out, s, err := c.Authenticate(b); err == nil && (out == nil || s == nil) {
			t.Error("no error and no result")
		}
	})
}
