package krb5

import (
	"bytes"
	"crypto/aes"
	"math/rand/v2"
	"testing"

	"github.com/jcmturner/gokrb5/v8/crypto"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Ciphertext stealing, against another implementation, for every length.
func TestCTS(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	var other crypto.Aes256CtsHmacSha96
	for n := blockSize + 1; n < 6*blockSize; n++ {
		plain := make([]byte, n)
		for i := range plain {
			plain[i] = byte(rand.N(256))
		}
		_, want, err := other.EncryptData(key, plain)
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Clone(plain)
		if encryptCTS(block, got); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
		if decryptCTS(block, got); !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes come back as %x, were %x", n, got, plain)
		}
	}
}

// pair is both ends of a connection.
func pair(t testing.TB, kind int32) (client, host *Session) {
	t.Helper()
	key := types.EncryptionKey{KeyType: kind, KeyValue: bytes.Repeat([]byte{1}, suites[kind].key)}
	client, err := newSession(key, true, 5, 9)
	if err != nil {
		t.Fatal(err)
	}
	host, err = sessionFor(key, true, direction{seq: 9}, direction{seq: 5}, useAcceptorSeal, useInitiatorSeal)
	if err != nil {
		t.Fatal(err)
	}
	return client, host
}

// hostSeals makes a token as the host would.
func hostSeals(host *Session, plain []byte) []byte {
	host.subkey |= flagAcceptor
	defer func() { host.subkey &^= flagAcceptor }()
	return host.Seal(nil, plain)
}

func TestBothEnds(t *testing.T) {
	for kind := range suites {
		client, host := pair(t, kind)
		for _, text := range []string{"", "one", "a longer one than a block is"} {
			if got, err := host.open(0, client.Seal([]byte("before"), []byte(text))[6:]); err != nil || string(got) != text {
				t.Errorf("type %d: the host opened %q: %v", kind, got, err)
			}
			if got, err := client.Open(nil, hostSeals(host, []byte(text))); err != nil || string(got) != text {
				t.Errorf("type %d: opened %q: %v", kind, got, err)
			}
		}
	}
}

func TestWeakKeys(t *testing.T) {
	for _, key := range []types.EncryptionKey{{KeyType: 23, KeyValue: make([]byte, 16)}, {KeyType: 18, KeyValue: make([]byte, 16)}, {}} {
		if _, err := newSession(key, false, 0, 0); err == nil {
			t.Errorf("a key of type %d with %d bytes is taken", key.KeyType, len(key.KeyValue))
		}
	}
}

func FuzzWrapToken(f *testing.F) {
	_, host := pair(f, 18)
	f.Add(hostSeals(host, []byte("message")))
	f.Add(hostSeals(host, nil))
	f.Add([]byte{5, 4, 7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, token []byte) {
		client, host := pair(t, 18)
		if got, err := client.Open(nil, bytes.Clone(token)); err == nil && len(got) > len(token) {
			t.Errorf("%d bytes from a token of %d", len(got), len(token))
		}
		_, _ = host.open(0, bytes.Clone(token))
	})
}

func FuzzNegotiation(f *testing.F) {
	request, err := frame(tokenReply, []byte("message"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0xa1, 7, 0x30, 5, 0xa0, 3, 0x0a, 1, 0})
	f.Add(append([]byte{0xa1, 20}, request...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, err := parseNegotiation(b); err == nil && len(n.token)+len(n.mic) > len(b) {
			t.Errorf("%d and %d bytes from %d", len(n.token), len(n.mic), len(b))
		}
		if _, message, err := unframe(b); err == nil && len(message) >= len(b) {
			t.Errorf("a message of %d bytes in %d", len(message), len(b))
		}
	})
}

// A host's answer may be anything.
func FuzzAnswer(f *testing.F) {
	reply, err := frame(tokenReply, []byte{0x6f, 2, 0x30, 0})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply)
	failed, err := frame(tokenError, []byte{0x7e, 2, 0x30, 0})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(failed)
	f.Fuzz(func(t *testing.T, b []byte) {
		i := &Initiator{ticket: ticket{key: types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 32)}}}
		if s, err := i.Finish(b); err == nil || s != nil {
			t.Error("a stranger is believed")
		}
		_ = kdcError("REALM", b)
	})
}

func BenchmarkSeal(b *testing.B) {
	for name, kind := range map[string]int32{"aes256-sha1": 18, "aes256-sha384": 20} {
		b.Run(name, func(b *testing.B) {
			client, _ := pair(b, kind)
			plain := make([]byte, 500<<10)
			var out []byte
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				out = client.Seal(out[:0], plain)
			}
		})
	}
}
