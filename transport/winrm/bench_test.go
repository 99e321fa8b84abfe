//go:build !windows

package winrm

import (
	"io"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport/winrm/internal/ntlm"
)

// BenchmarkPipe is one stream of full Writes to a program that reads and
// forgets, host and client on this machine.
func BenchmarkPipe(b *testing.B) {
	h := startHost(b, wsman.Limits{})
	for name, cfg := range h.configs() {
		b.Run(name, func(b *testing.B) {
			c, err := Dial(b.Context(), cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			p, err := c.Pipe(b.Context(), "cat >/dev/null")
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			data := make([]byte, p.MaxWrite())
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := p.Write(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOutput reads what a program pours out.
func BenchmarkOutput(b *testing.B) {
	h := startHost(b, wsman.Limits{})
	c, err := Dial(b.Context(), h.http)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	p, err := c.Pipe(b.Context(), "cat /dev/zero")
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	data := make([]byte, 1<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := io.ReadFull(p, data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSeal is what one Send costs here, without host and wire.
func BenchmarkSeal(b *testing.B) {
	build := builder{url: "http://h:5985/wsman", timeout: time.Second, envelope: 500 << 10}
	client := ntlm.NewClient(ntlm.Credentials{User: "u"}, true, nil)
	client.Negotiate()
	_, session, err := client.Authenticate(testChallenge())
	if err != nil {
		b.Fatal(err)
	}
	sealed := &seals{sealer: steady{session}, protocol: protocolNegotiate, spare: &spare{}}
	data := make([]byte, build.maxSend())
	b.SetBytes(int64(len(data)))
	var plain []byte
	for b.Loop() {
		m := build.send(plain, "S", "C", data, false)
		plain = m.body
		out, err := sealed.seal(plain)
		if err != nil {
			b.Fatal(err)
		}
		sealed.spare.give(out)
	}
}

// testChallenge offers all that a client can ask for, and no attributes.
func testChallenge() []byte {
	b := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), make([]byte, 8)...)
	b = append(b, 0xff, 0xff, 0xff, 0xff)
	b = append(b, make([]byte, 16)...)
	return append(b, 4, 0, 4, 0, 48, 0, 0, 0, 0, 0, 0, 0)
}
