package pipeline

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
)

// travel tells for each host what would be sent there. The numbers are those
// of the very bytes that would travel, as the hosts stand now; what the wire
// adds is not in them.
func (d *deployment) travel(ctx context.Context) (map[string]journal.Travel, error) {
	var mu sync.Mutex
	out := map[string]journal.Travel{}
	err := d.f.each(ctx, func(ctx context.Context, h *host) error {
		t, err := d.b.Target(h.target())
		if err != nil {
			return err
		}
		l := &cargo{h: h, b: d.b, s: d.s, files: t.Files}
		told, err := l.weigh(ctx)
		mu.Lock()
		defer mu.Unlock()
		out[h.Name] = told
		return err
	})
	return out, err
}

// publicPort is 0 where there is none.
func (p *Pipeline) publicPort() int {
	_, text, _ := net.SplitHostPort(p.Target.Traffic.Listen) // validated
	port, _ := strconv.Atoi(text)
	return port
}

// weigh is put without sending: where shipper has never been, all is missing.
func (l *cargo) weigh(ctx context.Context) (journal.Travel, error) {
	out := journal.Travel{Files: len(l.files)}
	for _, f := range l.files {
		out.Size += f.Size
	}
	var have rpc.HaveReply
	question := l.question()
	question.Port = l.h.p.publicPort()
	err := l.h.call(ctx, 0, func(c *rpc.Client) (err error) {
		have, err = c.Have(ctx, question)
		return err
	})
	if isBare(err) {
		out.Bare, err = true, nil
		for _, d := range digests(l.files) {
			have.Missing = append(have.Missing, rpc.Partial{Digest: d})
		}
	}
	if err != nil {
		return out, err
	}
	if have.Owner != "" && !strings.HasPrefix(strings.ToLower(have.Owner), "shipper-host") {
		out.Port, out.Owner = question.Port, have.Owner
	}
	for _, part := range have.Missing {
		p, err := l.parcel(ctx, part, have.Bases)
		if err != nil {
			return out, err
		}
		out.Sent++
		out.Bytes += p.left()
		if p.encoding == rpc.EncodingDelta {
			out.Deltas++
		}
	}
	return out, nil
}
