package pipeline

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// A guard that takes nothing any more does not keep a run: the push ends when
// its time is over, however many bytes went before, and not while they go.
func TestPushThatStandsStill(t *testing.T) {
	for _, c := range []struct {
		name string
		pace time.Duration // between the pieces that the guard takes
		stop int           // after so many pieces it takes no more
		want time.Duration // until the push ended
		why  string        // part of the error, empty: none
	}{
		{"at once", 0, 0, stallTime + 20*time.Second, "nothing moved for 1m20s"},
		{"in the middle", 0, 10 << 20 / piece, stallTime + 20*time.Second, "nothing moved for 1m20s"},
		{"slow", 2 * time.Second, 1 << 30, 20 << 20 / piece * 2 * time.Second, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				err := pushTo(t, func(ctx context.Context, r io.Reader) error {
					for i := 0; ; i++ {
						if i == c.stop {
							<-ctx.Done()
							return context.Cause(ctx)
						}
						time.Sleep(c.pace)
						if _, err := io.ReadFull(r, make([]byte, piece)); err != nil {
							return nil
						}
					}
				})
				if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
					t.Errorf("error %v, want %q", err, c.why)
				}
				if d := time.Since(began).Round(10 * time.Second); d != c.want.Round(10*time.Second) {
					t.Errorf("ended after %s, want %s", d, c.want)
				}
			})
		})
	}
}

const piece = 1 << 20

// pushTo pushes 20 MiB to a guard that takes them as take does.
func pushTo(t *testing.T, take func(context.Context, io.Reader) error) error {
	near, far := net.Pipe()
	h := &rpc.Handlers{
		Hello: func(context.Context, rpc.Hello) (rpc.HelloReply, error) {
			return rpc.HelloReply{Protocol: rpc.Protocol}, nil
		},
		Put: func(ctx context.Context, p rpc.Put, r io.Reader) (rpc.PutReply, error) {
			return rpc.PutReply{Complete: true, Have: p.Encoded}, take(ctx, r)
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- rpc.Serve(t.Context(), far, h) }()
	c, _, err := rpc.Dial(t.Context(), pipe{near}, rpc.Hello{Protocol: rpc.Protocol})
	if err != nil {
		t.Fatal(err)
	}
	p := &Pipeline{Now: time.Now, Plain: true, Target: config.Target{Service: config.Service{Name: "orders"}}}
	l := &cargo{h: newHost(p, config.Host{Name: "web1"}), run: "run", s: newStory("run", time.Now, nil)}
	content := make([]byte, 20<<20)
	err = l.send(t.Context(), c, parcel{file: release.File{Size: int64(len(content)), SHA256: release.Of(content)}, bytes: content})
	c.Close()
	<-ended
	return err
}
