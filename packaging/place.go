package packaging

import (
	"archive/zip"
	"fmt"

	"github.com/go-shipper/shipper/release"
)

// Place is where in the bundle's file a content lies.
type Place struct {
	Size    int64 // of the content
	Offset  int64
	Length  int64 // bytes in the file
	Deflate bool  // they are compressed; else as they are
}

// Place tells where a content lies, for those who read it elsewhere, without
// the archive around it.
func (b *Bundle) Place(d release.Digest) (Place, error) {
	entry := b.contents[d]
	if entry == nil {
		return Place{}, fmt.Errorf("bundle has no content %s", d.Short())
	}
	at, err := entry.DataOffset()
	if err != nil {
		return Place{}, fmt.Errorf("find content %s: %w", d.Short(), err)
	}
	if entry.Method != zip.Deflate && entry.Method != zip.Store {
		return Place{}, fmt.Errorf("content %s is compressed by method %d", d.Short(), entry.Method)
	}
	return Place{
		Size: int64(entry.UncompressedSize64), Offset: at, Length: int64(entry.CompressedSize64), Deflate: entry.Method == zip.Deflate,
	}, nil
}
