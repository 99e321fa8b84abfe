package rpc

import (
	"context"
	"time"

	"github.com/go-shipper/shipper/release"
)

// MethodPull lets a host fetch contents itself: Pull → Pulled.
const MethodPull = "store.pull"

// Pull names a bundle on a web server, and where in it contents lie. The
// token and the CA are used for this call only and kept nowhere.
type Pull struct {
	Fenced
	URL     string        `json:"url"`             // https
	Token   string        `json:"token,omitempty"` // of the header Authorization
	CA      []byte        `json:"ca,omitempty"`    // PEM; empty: the host's own authorities
	Parts   []Part        `json:"parts"`
	Timeout time.Duration `json:"timeout"` // of the whole
}

// Part is a content inside a file.
type Part struct {
	Digest  release.Digest `json:"digest"`
	Size    int64          `json:"size"`
	Offset  int64          `json:"offset"`
	Length  int64          `json:"length"`  // bytes there
	Deflate bool           `json:"deflate"` // they are compressed so
}

// Pulled counts what came.
type Pulled struct {
	Contents int   `json:"contents"`
	Bytes    int64 `json:"bytes"` // that were fetched
}

// Pull lets the host fetch contents itself.
func (c *Client) Pull(ctx context.Context, p Pull) (Pulled, error) {
	return call[Pulled](ctx, c, MethodPull, p)
}
