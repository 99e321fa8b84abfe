package transporttest

import (
	"strconv"
	"testing"

	"github.com/go-shipper/shipper/transport"
)

// lanes are optional: where a way has them they take input beside the pipe, as
// whole and in order as the pipe does, and none outlives it.
func (h Host) lanes(t *testing.T) {
	c, ctx := h.dial(t)
	p, err := c.Pipe(ctx, h.Probe+" echo")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	l, ok := p.(transport.Laner)
	if !ok {
		t.Skip("this way has no lanes, and needs none")
	}
	if l.Delay() <= 0 {
		t.Error("after some exchanges nobody knows how long one takes")
	}
	want, kept := noise(600_000, 3), h.Temp+"/kept"
	carrier, err := l.Lane(ctx, h.Probe+" keep "+kept+" "+strconv.Itoa(len(want)))
	if err != nil {
		t.Fatal(err)
	}
	for b := want; len(b) > 0; {
		n, err := carrier.Write(b[:min(len(b), carrier.MaxWrite())])
		if err != nil {
			t.Fatalf("write on a lane: %v", err)
		}
		b = b[n:]
	}
	h.await(t, "what a lane took does not come whole", func() bool { return h.content(kept) == string(want) })
	if err := carrier.Close(); err != nil {
		t.Errorf("close a lane: %v", err)
	}
	if _, err := p.Write([]byte("!")); err != nil {
		t.Errorf("the pipe ended with a lane: %v", err)
	}
	if _, err := l.Lane(ctx, h.Probe+" touch "+h.Temp+"/lane"); err != nil {
		t.Fatal(err)
	}
	h.awaitLife(t, h.Temp+"/lane")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	h.awaitDeath(t, h.Temp+"/lane")
}
