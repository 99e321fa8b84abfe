package krb5

import (
	"bytes"
	"errors"
	"testing"

	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/types"
)

func TestNothingBeforeTheLogon(t *testing.T) {
	a := (&Service{keys: keytab.New()}).Accept()
	if _, _, err := a.Seal([]byte("x")); !errors.Is(err, ErrOrder) {
		t.Errorf("seal: %v", err)
	}
	if _, err := a.Unseal(make([]byte, 60), nil); !errors.Is(err, ErrOrder) {
		t.Errorf("unseal: %v", err)
	}
}

func TestBound(t *testing.T) {
	right, zeros := bytes.Repeat([]byte{7}, 16), make([]byte, 16)
	for name, c := range map[string]struct {
		sent, want   []byte
		ok, strictly bool
	}{
		"none":        {zeros, right, true, false},
		"right":       {right, right, true, true},
		"wrong":       {bytes.Repeat([]byte{8}, 16), right, false, false},
		"without TLS": {right, nil, true, true},
	} {
		if bound(c.sent, c.want, false) != c.ok || bound(c.sent, c.want, true) != c.strictly {
			t.Errorf("%s: %t, strict %t", name, bound(c.sent, c.want, false), bound(c.sent, c.want, true))
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	f.Add([]byte{0x60, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 1, 0})
	f.Add([]byte{0x60, 8, 6, 6, 0x2b, 6, 1, 5, 5, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		a := (&Service{keys: keytab.New()}).Accept()
		if _, err := a.Authenticate(b, nil, false); err == nil || a.User() != "" {
			t.Error("a stranger is let in")
		}
	})
}

func FuzzUnseal(f *testing.F) {
	f.Add(append([]byte{5, 4, 6, 0xff, 0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := &Acceptor{user: "x", key: types.EncryptionKey{KeyType: 18, KeyValue: make([]byte, 32)}}
		if plain, err := a.Unseal(b, nil); err == nil && len(plain) > len(b) {
			t.Errorf("%d bytes of %d", len(plain), len(b))
		}
	})
}
