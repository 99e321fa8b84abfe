package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
)

// pullPatience is how long a host may take to fetch a bundle itself.
const pullPatience = 10 * time.Minute

// pull lets the host fetch what it misses from where bundles are kept, if the
// configuration wants that. It is tried once: whatever does not come that way
// is pushed, and the story says why.
func (l *cargo) pull(ctx context.Context, c *rpc.Client) error {
	if !l.h.p.Target.Bundles.Pull || l.pulled {
		return nil
	}
	l.pulled = true
	have, err := c.Have(ctx, rpc.Have{Digests: digests(l.files)})
	if err != nil || len(have.Missing) == 0 {
		return err
	}
	ask, err := l.h.pullRequest(l.run, l.b, have.Missing)
	if err == nil {
		var came rpc.Pulled
		came, err = c.Pull(ctx, ask)
		l.told.Pulled, l.told.Fetched = came.Contents, came.Bytes
		if err == nil || ctx.Err() != nil || broken(err) || rpc.CodeOf(err) == rpc.CodeFenced || rpc.CodeOf(err) == rpc.CodeLocked {
			return err
		}
	}
	l.s.note(journal.TypeWarning, l.h.Name, fmt.Sprintf("the host could not fetch the bundle itself, so it is pushed: %v", err))
	return nil
}

// pullRequest says where in the bundle each content lies. The token goes into
// the sealed call and nowhere else.
func (h *host) pullRequest(run string, b *packaging.Bundle, missing []rpc.Partial) (rpc.Pull, error) {
	from := h.p.Target.Bundles
	ask := rpc.Pull{Fenced: h.fenced(run), Timeout: pullPatience}
	base, err := url.Parse(from.URL)
	if err != nil {
		return ask, errors.New("bundles.url is no address")
	}
	ask.URL = base.JoinPath(packaging.FileName(b.Manifest.Name, b.Release())).String()
	if from.Token != "" {
		if ask.Token, err = config.Resolve(from.Token, os.LookupEnv, os.ReadFile); err != nil {
			return ask, fmt.Errorf("resolve bundles.token: %w", err)
		}
	}
	if from.CA != "" {
		if ask.CA, err = os.ReadFile(from.CA); err != nil {
			return ask, fmt.Errorf("read bundles.ca: %w", err)
		}
	}
	for _, m := range missing {
		at, err := b.Place(m.Digest)
		if err != nil {
			return ask, err
		}
		ask.Parts = append(ask.Parts, rpc.Part{Digest: m.Digest, Size: at.Size, Offset: at.Offset, Length: at.Length, Deflate: at.Deflate})
	}
	return ask, nil
}
