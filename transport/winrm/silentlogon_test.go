//go:build linux

package winrm

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/patype"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"

	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/winrm/internal/ntlm"
	"github.com/go-shipper/shipper/transport/winrm/internal/sspi"
)

// badKDC is a KDC that fails in one way. It may first ask for a proof of the
// password, as all do.
type badKDC struct {
	fails func(net.Conn) // after a request was read
	asks  bool           // for the proof, and fails after that

	mu     sync.Mutex
	proofs int
}

func hangUp(net.Conn)      {}
func keepMum(c net.Conn)   { _, _ = io.Copy(io.Discard, c) }
func beginWord(c net.Conn) { _, _ = c.Write([]byte{0, 0}) }
func beginAnswer(c net.Conn) {
	_, _ = c.Write([]byte{0, 0, 1, 0, 0x6b, 0x82})
}

func (k *badKDC) serve(c net.Conn) {
	defer c.Close()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return
	}
	request := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, request); err != nil {
		return
	}
	var as messages.ASReq
	if err := as.Unmarshal(request); err != nil {
		return
	}
	switch proof := len(as.PAData) > 0 && as.PAData[0].PADataType == patype.PA_ENC_TIMESTAMP; {
	case k.asks && !proof:
		k.ask(c, as)
		return
	case proof:
		k.mu.Lock()
		k.proofs++
		k.mu.Unlock()
	}
	k.fails(c)
}

// ask says how a proof has to be made.
func (k *badKDC) ask(c net.Conn, as messages.ASReq) {
	kinds, err := asn1.Marshal(types.ETypeInfo2{{EType: etypeID.AES256_CTS_HMAC_SHA1_96}})
	if err != nil {
		return
	}
	wishes, err := asn1.Marshal(types.PADataSequence{{PADataType: patype.PA_ETYPE_INFO2, PADataValue: kinds}})
	if err != nil {
		return
	}
	e := messages.NewKRBError(as.ReqBody.SName, as.ReqBody.Realm, errorcode.KDC_ERR_PREAUTH_REQUIRED, "")
	e.EData = wishes
	b, err := e.Marshal()
	if err != nil {
		return
	}
	_, _ = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
}

// A KDC that is absent, silent, or drops what it began ends a logon within the
// budget of the host, and gets the proof of a password twice at most.
func TestLogonByABadKDCEnds(t *testing.T) {
	ways := map[string]func(net.Conn){"silent": keepMum, "hangs up": hangUp, "drops a word": beginWord, "drops an answer": beginAnswer}
	for how, fails := range ways {
		for _, asks := range []bool{false, true} {
			name := how
			if asks {
				name += ", after it asked for the proof"
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					k := &badKDC{fails: fails, asks: asks}
					e := k.logon(t, func(ours, theirs net.Conn) net.Conn {
						go k.serve(theirs)
						return ours
					})
					synctest.Wait() // the KDC has counted what it got
					if want := map[bool]int{true: maxRefusals}[asks]; k.proofs != want {
						t.Errorf("%d proofs, want %d: %v", k.proofs, want, e)
					}
				})
			})
		}
	}
	t.Run("absent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			new(badKDC).logon(t, func(net.Conn, net.Conn) net.Conn { return nil })
		})
	})
	t.Run("deaf", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			new(badKDC).logon(t, func(ours, _ net.Conn) net.Conn { return ours })
		})
	})
}

// logon tries to log on to a host whose KDC is reached as told, and no other.
func (k *badKDC) logon(t *testing.T, reach func(ours, theirs net.Conn) net.Conn) *transport.Error {
	t.Helper()
	w, cfg := memoryHost(t, false)
	cfg.Auth, cfg.Service = AuthKerberos, domainHost
	creds := Credentials{User: domainUser, Password: testPassword, KerberosConfig: []byte("[realms]\n EXAMPLE.TEST = {\n  kdc = kdc1:88\n  kdc = kdc2:88\n  kdc = kdc3:88\n }\n")}
	cfg.Credentials = func(context.Context) (Credentials, error) { return creds, nil }
	cfg.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "127.0.0.1:5985" {
			return w.dial(ctx, network, address)
		}
		if c := reach(net.Pipe()); c != nil {
			return c, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	err := within(t, 60*time.Second, func() error {
		_, err := Dial(t.Context(), cfg)
		return err
	})
	var e *transport.Error
	if !errors.As(err, &e) || e.Kind != transport.Unreachable || e.Hint == "" {
		t.Fatalf("error %#v", err)
	}
	return e
}

// The password that a host got without a word goes there twice at most, too.
func TestCredentialsGoToASilentHostTwice(t *testing.T) {
	for _, auth := range []string{AuthNTLM, AuthBasic} {
		t.Run(auth, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, cfg := memoryHost(t, auth == AuthBasic)
				w.shy = true
				cfg.Auth, cfg.Logons = auth, &Logons{}
				for range 3 { // as other parts of a run do
					err := within(t, 60*time.Second, func() error {
						_, err := Dial(t.Context(), cfg)
						return err
					})
					denied(t, err, transport.Unreachable, hintUnheard)
				}
				if n := w.asked.Load(); n != maxRefusals {
					t.Errorf("it was shown the password %d times", n)
				}
			})
		})
	}
}

// A package of Windows knows no deadline; the logon has one.
func TestLogonByASilentPackageEnds(t *testing.T) {
	for _, silent := range []int{1, 2} { // step
		synctest.Test(t, func(t *testing.T) {
			w, cfg := memoryHost(t, false)
			l, err := dialLink(t.Context(), cfg.withDefaults())
			if err != nil {
				t.Fatal(err)
			}
			p := &stuck{steps: silent, over: w.closed, freed: make(chan struct{})}
			ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Second, errSilent)
			defer cancel()
			if err := within(t, 10*time.Second, func() error { return l.converse(ctx, schemeNegotiate, p) }); !errors.Is(err, errSilent) {
				t.Errorf("error %v", err)
			}
			l.close()
			select {
			case <-p.freed:
				t.Error("freed while it works")
			default:
			}
			w.Close()
			<-p.freed
		})
	}
}

// stuck stands in for a package that waits for a KDC.
type stuck struct {
	sealer
	steps int // until it is stuck
	over  chan struct{}
	freed chan struct{}
}

func (s *stuck) Step([]byte) ([]byte, bool, error) {
	if s.steps--; s.steps == 0 {
		<-s.over
		return nil, false, sspi.ErrNoLogon
	}
	return ntlm.NewClient(ntlm.Credentials{User: testUser}, true, nil).Negotiate(), false, nil
}

func (s *stuck) Close() { close(s.freed) }
