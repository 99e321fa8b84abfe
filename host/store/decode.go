package store

import (
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/go-shipper/shipper/delta"
	"github.com/go-shipper/shipper/host/rpc"
)

// Bounds of decoding: what a hostile stream may make the guard allocate.
const maxWindow = 32 << 20

// decoder gives the bytes that in holds encoded. It reads neither its input
// nor the base of a delta as a whole, so that memory does not grow with them.
func (s *Store) decoder(p rpc.Put, in *os.File) (io.ReadCloser, error) {
	switch p.Encoding {
	case rpc.EncodingZstd:
		d, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(uint64(maxWindow)*2))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case rpc.EncodingDelta:
		return s.applied(p, in)
	}
	return io.NopCloser(in), nil
}

// applied is the base of a delta with the delta applied. Whether the base is
// what it should be shows in the digest of the result.
func (s *Store) applied(p rpc.Put, in *os.File) (io.ReadCloser, error) {
	path := s.find(p.Base)
	if path == "" {
		return nil, gone(p)
	}
	base, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, gone(p)
	}
	if err != nil {
		return nil, err
	}
	info, err := base.Stat()
	if err != nil {
		return nil, errors.Join(err, base.Close())
	}
	r, err := delta.NewReader(base, info.Size(), in, p.Encoded, p.Size)
	if err != nil {
		return nil, errors.Join(rpc.Errorf(rpc.CodeVerification, "push again", "%s: %v", p.Digest.Short(), err), base.Close())
	}
	return patched{r, base}, nil
}

func gone(p rpc.Put) error {
	return rpc.Errorf(rpc.CodeNotFound, "push it whole", "base %s of content %s is not on the host", p.Base.Short(), p.Digest.Short())
}

// patched is a delta's result, and the base that stays open for it.
type patched struct {
	*delta.Reader
	base *os.File
}

func (p patched) Close() error { return errors.Join(p.Reader.Close(), p.base.Close()) }
