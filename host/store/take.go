package store

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// Take stores a content that open gives, unless it is here. It is verified
// like one that was pushed; what was cut must be given again from the start.
func (s *Store) Take(ctx context.Context, f release.File, open func() (io.ReadCloser, error)) error {
	if _, err := release.ParseDigest(string(f.SHA256)); err != nil || f.Size < 0 {
		return rpc.Errorf(rpc.CodeFailed, "", "content %.80q of %d bytes", f.SHA256, f.Size)
	}
	free, err := s.hold(ctx, f.SHA256)
	if err != nil {
		return err
	}
	defer free()
	if s.find(f.SHA256) != "" {
		return nil
	}
	from, err := open()
	if err != nil {
		return fmt.Errorf("open content %s: %w", f.SHA256.Short(), err)
	}
	defer from.Close()
	tmp := s.content(f.SHA256) + ".tmp"
	defer os.Remove(tmp)
	if err := s.copyVerified(ctx, from, tmp, f); err != nil {
		return problem(err, "store content "+f.SHA256.Short())
	}
	if err := acl.Replace(tmp, s.content(f.SHA256)); err != nil {
		return problem(err, "store content "+f.SHA256.Short())
	}
	s.forgetParts(f.SHA256)
	return syncDir(s.staging())
}
