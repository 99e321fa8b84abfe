package ntlm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/bodgit/ntlmssp"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The numbers are those of MS-NLMP 4.2.4: user "User", domain "Domain",
// password "Password".
const (
	vectorServerChallenge = "0123456789abcdef"
	vectorTemp            = "01010000000000000000000000000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e0001000c005300650072007600650072000000000000000000"
	vectorRandomKey       = "55555555555555555555555555555555"
)

func TestVectorsOfTheSpecification(t *testing.T) {
	key := ntowfv2("Password", "User", "Domain")
	if want := unhex(t, "0c868a403bfd7a93a3001ef22ef02e3f"); !bytes.Equal(key, want) {
		t.Fatalf("NTOWFv2 %x, want %x", key, want)
	}
	proof := mac(key, unhex(t, vectorServerChallenge), unhex(t, vectorTemp))
	if want := unhex(t, "68cd0ab851e51c96aabc927bebef6a1c"); !bytes.Equal(proof, want) {
		t.Fatalf("proof %x, want %x", proof, want)
	}
	base := mac(key, proof)
	if want := unhex(t, "8de40ccadbc14a82f15cb0ad0de95ca3"); !bytes.Equal(base, want) {
		t.Fatalf("session base key %x, want %x", base, want)
	}
	session, err := sessionKey(base, authenticate{flags: flagKeyExchange, sessionKey: unhex(t, "c5dad2544fc9799094ce1ce90bc9d03e")})
	if err != nil || !bytes.Equal(session, unhex(t, vectorRandomKey)) {
		t.Fatalf("session key %x, %v", session, err)
	}
}

func TestSealVectorOfTheSpecification(t *testing.T) {
	s := newSealer(unhex(t, vectorRandomKey), required|flagKeyExchange, toServer)
	if want := unhex(t, "4788dc861b4782f35d43fd98fe1a2d39"); !bytes.Equal(s.signKey, want) {
		t.Fatalf("sign key %x, want %x", s.signKey, want)
	}
	plain := utf16le("Plaintext")
	sealed := make([]byte, len(plain))
	s.stream.XORKeyStream(sealed, plain)
	if want := unhex(t, "54e50165bf1936dc996020c1811b0f06fb5f"); !bytes.Equal(sealed, want) {
		t.Errorf("sealed %x, want %x", sealed, want)
	}
	if want := unhex(t, "010000007fb38ec5c55d497600000000"); !bytes.Equal(s.signature(plain), want) {
		t.Errorf("signature is not %x", want)
	}
}

func passwords(user string) (string, bool) { return "Passw0rd!", user == "Administrator" }

// logon lets a client that was written elsewhere log on.
func logon(t *testing.T, user, password string, tamper func(negotiate, authenticate []byte) []byte) (*Acceptor, *ntlmssp.Client, error) {
	t.Helper()
	client, err := ntlmssp.NewClient(ntlmssp.SetUserInfo(user, password), ntlmssp.SetDomain("HOST1"), ntlmssp.SetVersion(ntlmssp.DefaultVersion()))
	if err != nil {
		t.Fatal(err)
	}
	a := NewAcceptor("host1", passwords)
	negotiate, err := client.Authenticate(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := a.Challenge(negotiate)
	if err != nil {
		t.Fatal(err)
	}
	message, err := client.Authenticate(challenge, nil)
	if err != nil {
		t.Fatal(err)
	}
	if tamper != nil {
		message = tamper(negotiate, message)
	}
	return a, client, a.Authenticate(message, nil, false)
}

func TestLogonAndSealing(t *testing.T) {
	a, client, err := logon(t, "Administrator", "Passw0rd!", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.User() != "Administrator" {
		t.Errorf("user %q", a.User())
	}
	for _, text := range []string{"one", "two", ""} {
		sealed, signature, err := client.SecuritySession().Wrap([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := a.Unseal(signature, sealed)
		if err != nil || string(plain) != text {
			t.Fatalf("unsealed %q, %v", plain, err)
		}
		signature, sealed, err = a.Seal([]byte(text + "!"))
		if err != nil {
			t.Fatal(err)
		}
		if back, err := client.SecuritySession().Unwrap(sealed, signature); err != nil || string(back) != text+"!" {
			t.Fatalf("the client unsealed %q, %v", back, err)
		}
	}
}

func TestReplayedMessageIsRefused(t *testing.T) {
	a, client, err := logon(t, "Administrator", "Passw0rd!", nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, signature, err := client.SecuritySession().Wrap([]byte("once"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Unseal(signature, sealed); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Unseal(signature, sealed); !errors.Is(err, ErrSignature) {
		t.Errorf("replay: %v", err)
	}
}

func TestWrongLogons(t *testing.T) {
	for name, test := range map[string]struct {
		user, password string
		tamper         func(negotiate, message []byte) []byte
	}{
		"wrong password": {"Administrator", "passw0rd!", nil},
		"unknown user":   {"Nobody", "Passw0rd!", nil},
		"flipped bit in the proof": {"Administrator", "Passw0rd!", func(_, m []byte) []byte {
			f, _ := field(m, 20)
			f[3] ^= 1
			return m
		}},
		"flags changed": {"Administrator", "Passw0rd!", func(_, m []byte) []byte {
			m[60] ^= 0x10
			return m
		}},
		"no extended security": {"Administrator", "Passw0rd!", func(_, m []byte) []byte {
			m[62] &^= 0x08
			return m
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := logon(t, test.user, test.password, test.tamper); !errors.Is(err, ErrDenied) {
				t.Errorf("got %v, want %v", err, ErrDenied)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	a := NewAcceptor("x", passwords)
	if err := a.Authenticate(make([]byte, 100), nil, false); !errors.Is(err, ErrOrder) {
		t.Errorf("authenticate first: %v", err)
	}
	if _, _, err := a.Seal(nil); !errors.Is(err, ErrOrder) {
		t.Errorf("seal first: %v", err)
	}
	if _, err := a.Unseal(nil, nil); !errors.Is(err, ErrOrder) {
		t.Errorf("unseal first: %v", err)
	}
	if _, err := a.Challenge([]byte("NTLMSSP\x00\x03\x00\x00\x00")); !errors.Is(err, ErrMalformed) {
		t.Errorf("wrong message: %v", err)
	}
}

func TestChannelBinding(t *testing.T) {
	right := ChannelBinding(bytes.Repeat([]byte{7}, 32))
	for name, test := range map[string]struct {
		sent, want   []byte
		ok, strictly bool
	}{
		"none sent":   {nil, right, true, false},
		"zeros":       {make([]byte, 16), right, true, false},
		"right":       {right, right, true, true},
		"wrong":       {ChannelBinding([]byte("other")), right, false, false},
		"without TLS": {right, nil, true, true},
	} {
		if got := bindingMatches(test.sent, test.want, false); got != test.ok {
			t.Errorf("%s: %v", name, got)
		}
		if got := bindingMatches(test.sent, test.want, true); got != test.strictly {
			t.Errorf("%s, strict: %v", name, got)
		}
	}
}

func FuzzAuthenticate(f *testing.F) {
	info := targetInfo(utf16le("HOST1"), time.Unix(0, 0))
	f.Add(challengeMessage([8]byte{1}, offered, "HOST1", time.Unix(0, 0)))
	f.Add(append(append([]byte("NTLMSSP\x00\x03\x00\x00\x00"), make([]byte, 76)...), info...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := NewAcceptor("HOST1", passwords)
		if _, err := a.Challenge(append([]byte("NTLMSSP\x00\x01\x00\x00\x00"), 0, 0, 0, 0)); err != nil {
			t.Fatal(err)
		}
		if err := a.Authenticate(b, nil, false); err == nil {
			t.Fatal("a logon without the password")
		}
	})
}
