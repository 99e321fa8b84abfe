//go:build !windows

package winrm

import (
	"io"
	"testing"

	"github.com/go-shipper/shipper/lab/wsman"
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
