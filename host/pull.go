package host

import (
	"compress/flate"
	"context"
	"io"
	"time"

	"github.com/go-shipper/shipper/host/fetch"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

const (
	maxPull      = time.Hour
	maxPullParts = 4096
	pullHint     = "the contents are pushed instead"
)

// pull fetches contents for a run that holds its session. Each is verified by
// its digest before it gets its name; no archive is read here, because the
// controller says where each content lies.
func (g *Guard) pull(ctx context.Context, p rpc.Pull) (rpc.Pulled, error) {
	var told rpc.Pulled
	err := g.owned(ctx, p.Service, func(s *service) error { return s.holds(p.Fenced) })
	if err != nil {
		return told, err
	}
	if p.Timeout <= 0 || len(p.Parts) > maxPullParts {
		return told, rpc.Errorf(rpc.CodeFailed, "", "pull %d contents in %s", len(p.Parts), p.Timeout)
	}
	ctx, stop := context.WithTimeoutCause(ctx, min(p.Timeout, maxPull),
		rpc.Errorf(rpc.CodeFailed, pullHint, "pull: not finished in %s", p.Timeout))
	defer stop()
	from, err := fetch.New(p.URL, p.Token, p.CA)
	if err != nil {
		return told, rpc.Errorf(rpc.CodeFailed, pullHint, "pull: %v", err)
	}
	defer from.Close()
	for _, part := range p.Parts {
		content := release.File{Path: part.Digest.Short(), Size: part.Size, SHA256: part.Digest}
		err := g.store.Take(ctx, content, func() (io.ReadCloser, error) {
			told.Contents++
			told.Bytes += part.Length
			return openPart(ctx, from, part)
		})
		if err != nil {
			return told, err
		}
	}
	return told, nil
}

func openPart(ctx context.Context, from *fetch.Source, p rpc.Part) (io.ReadCloser, error) {
	raw, err := from.Part(ctx, p.Offset, p.Length)
	if err != nil || !p.Deflate {
		return raw, err
	}
	return inflated{flate.NewReader(raw), raw}, nil
}

// inflated closes what it reads from, too.
type inflated struct {
	io.Reader
	io.Closer
}
