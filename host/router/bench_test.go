package router

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// BenchmarkForward1K compares 1 kB answers through the router with those of
// the bare instance; the difference is what the router costs, plus the second
// hop that every proxy costs. Client, router and instance share the cores.
func BenchmarkForward1K(b *testing.B) {
	text := strings.Repeat("x", 1024)
	run := func(b *testing.B, listen string) {
		b.Helper()
		c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				res, err := c.Get("http://" + listen + "/")
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
		})
		c.CloseIdleConnections()
	}
	blue, green := serve(b, say(text)), serve(b, say(text))
	b.Run("bare", func(b *testing.B) { run(b, blue) })
	b.Run("router", func(b *testing.B) {
		r := start(b, Options{})
		r.put(r.route(blue, green, release.Full/20))
		b.ResetTimer()
		run(b, r.listen)
	})
}
