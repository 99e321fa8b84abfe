package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// Put receives a content. What arrives is kept encoded, so that a push that
// was cut goes on where it stopped; a content that turns out wrong is removed
// and must be sent again from the start.
func (s *Store) Put(ctx context.Context, p rpc.Put, r io.Reader) (rpc.PutReply, error) {
	if err := checkPut(p); err != nil {
		return rpc.PutReply{}, err
	}
	free, err := s.hold(ctx, p.Digest)
	if err != nil {
		return rpc.PutReply{}, err
	}
	defer free()
	if s.find(p.Digest) != "" {
		return rpc.PutReply{Complete: true, Have: p.Encoded}, nil
	}
	if p.Encoding == rpc.EncodingDelta && s.find(p.Base) == "" {
		return rpc.PutReply{}, gone(p)
	}
	part, sum := s.partName(p), sha256.New()
	have, err := s.receive(ctx, p, part, r, sum)
	if err != nil {
		return rpc.PutReply{Have: have}, problem(err, "receive content "+p.Digest.Short())
	}
	if p.Encoding == rpc.EncodingRaw {
		err = s.adopt(p, part, sum.Sum(nil))
	} else {
		err = s.complete(ctx, p, part)
	}
	if err != nil {
		os.Remove(part)
		return rpc.PutReply{}, problem(err, "store content "+p.Digest.Short())
	}
	return rpc.PutReply{Complete: true, Have: have}, nil
}

func checkPut(p rpc.Put) error {
	if _, err := release.ParseDigest(string(p.Digest)); err != nil {
		return rpc.Errorf(rpc.CodeFailed, "", "%v", err)
	}
	switch p.Encoding {
	case rpc.EncodingRaw, rpc.EncodingZstd:
	case rpc.EncodingDelta:
		if _, err := release.ParseDigest(string(p.Base)); err != nil || p.Base == p.Digest {
			return rpc.Errorf(rpc.CodeFailed, "", "delta against %.80q", p.Base)
		}
	default:
		return rpc.Errorf(rpc.CodeUnsupported, "upgrade shipper on the host", "unknown encoding %q", p.Encoding)
	}
	if p.Size < 0 || p.Offset < 0 || p.Offset > p.Encoded || p.Encoding == rpc.EncodingRaw && p.Size != p.Encoded {
		return rpc.Errorf(rpc.CodeFailed, "", "put of %d bytes, %d encoded, from %d on", p.Size, p.Encoded, p.Offset)
	}
	return nil
}

// receive appends to the part, flushes it, and returns its length. All of the
// part goes through sum.
func (s *Store) receive(ctx context.Context, p rpc.Put, part string, r io.Reader, sum hash.Hash) (int64, error) {
	if p.Offset == 0 {
		s.forgetParts(p.Digest)
	}
	f, err := os.OpenFile(part, os.O_CREATE|os.O_RDWR, 0o700) // executable, where modes count
	if err != nil {
		return 0, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if p.Offset > end {
		return end, rpc.Errorf(rpc.CodeConflict, "ask again what the host has",
			"content %s: %d bytes are here, not %d", p.Digest.Short(), end, p.Offset)
	}
	if err := f.Truncate(p.Offset); err != nil {
		return end, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return end, err
	}
	if _, err := io.CopyN(sum, f, p.Offset); err != nil {
		return end, err
	}
	flush := flushing(f)
	n, err := pour(io.MultiWriter(sink{s, f}, sum, flush), reader{ctx, io.LimitReader(r, p.Encoded-p.Offset)})
	if err == nil && p.Offset+n < p.Encoded {
		err = io.ErrUnexpectedEOF
	}
	if flushed := flush.end(); err == nil {
		err = flushed
	}
	return p.Offset + n, err
}

// pour copies in large pieces: writing costs most by the call.
func pour(to io.Writer, from io.Reader) (int64, error) {
	return io.CopyBuffer(to, from, make([]byte, 256<<10))
}

// adopt gives a part that is the content itself its name, if it is that.
func (s *Store) adopt(p rpc.Put, part string, sum []byte) error {
	if err := compare(release.File{Path: p.Digest.Short(), Size: p.Size, SHA256: p.Digest}, p.Encoded, sum); err != nil {
		return err
	}
	if err := acl.Replace(part, s.content(p.Digest)); err != nil {
		return err
	}
	return syncDir(s.staging())
}

// complete decodes the part, verifies it and gives it its name.
func (s *Store) complete(ctx context.Context, p rpc.Put, part string) error {
	tmp := s.content(p.Digest) + ".tmp"
	defer os.Remove(tmp)
	in, err := os.Open(part)
	if err != nil {
		return err
	}
	defer in.Close()
	from, err := s.decoder(p, in)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := s.copyVerified(ctx, from, tmp, release.File{Path: p.Digest.Short(), Size: p.Size, SHA256: p.Digest}); err != nil {
		return err
	}
	if err := acl.Replace(tmp, s.content(p.Digest)); err != nil {
		return err
	}
	from.Close()
	in.Close() // before the removal: Windows keeps open files
	os.Remove(part)
	return syncDir(s.staging())
}

// copyVerified writes want's bytes to a new file at path, flushed; anything
// but exactly these bytes is an error with CodeVerification.
func (s *Store) copyVerified(ctx context.Context, from io.Reader, path string, want release.File) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o700) // executable, where modes count
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	sum, flush := sha256.New(), flushing(f)
	n, err := pour(io.MultiWriter(sink{s, f}, sum, flush), reader{ctx, io.LimitReader(from, want.Size+1)})
	flushed := flush.end()
	if err != nil {
		var disk *fs.PathError
		if !errors.As(err, &disk) && ctx.Err() == nil { // what arrived cannot be decoded
			return rpc.Errorf(rpc.CodeVerification, "push again", "%s: %v", want.Path, err)
		}
		return err
	}
	if err := compare(want, n, sum.Sum(nil)); err != nil {
		return err
	}
	return flushed
}

func compare(want release.File, size int64, sum []byte) error {
	got := release.Digest(hex.EncodeToString(sum))
	if size != want.Size || got != want.SHA256 {
		return rpc.Errorf(rpc.CodeVerification, "push again", "%s: %d bytes with digest %s, want %d with %s",
			want.Path, size, got.Short(), want.Size, want.SHA256.Short())
	}
	return nil
}
