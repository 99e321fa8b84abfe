// Package authenticode verifies the signatures that Windows executables carry
// in themselves: the digest of the image, the PKCS #7 message over it, the
// certificate of its signer. It makes none.
package authenticode

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of what is read of an executable.
const (
	maxHeader    = 1 << 20
	maxSignature = 1 << 20
	maxImage     = 1 << 30
)

// ErrUnsigned says that an executable carries no signature.
var ErrUnsigned = errors.New("the executable is not signed")

// image is where an executable keeps what its digest leaves out: the
// checksum, the entry of the certificate table, the table itself, at the end.
type image struct {
	r        io.ReaderAt
	size     int64
	checksum int64
	entry    int64
	table    int64 // where the digest ends; size if it is unsigned
}

func le16(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) }
func le32(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }

func readAt(r io.ReaderAt, offset, n int64) ([]byte, error) {
	b := make([]byte, n)
	if got, err := r.ReadAt(b, offset); got < len(b) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// parse finds its way through the headers.
func parse(r io.ReaderAt, size int64) (image, error) {
	img := image{r: r, size: size}
	if size > maxImage {
		return img, fmt.Errorf("executable of %d bytes: more than %d", size, int64(maxImage))
	}
	dos, err := readAt(r, 0, 64)
	if err != nil || dos[0] != 'M' || dos[1] != 'Z' {
		return img, errors.New("not an executable of Windows: no MZ header")
	}
	start := le32(dos[60:])
	if start < 4 || start > maxHeader {
		return img, fmt.Errorf("not an executable of Windows: header at %d", start)
	}
	head, err := readAt(r, start, 24+112)
	if err != nil || !bytes.HasPrefix(head, []byte("PE\x00\x00")) {
		return img, errors.New("not an executable of Windows: no PE header")
	}
	return img, img.locate(start+24, head[24:])
}

// locate reads the optional header, which begins at offset.
func (img *image) locate(offset int64, optional []byte) error {
	directories := int64(96)
	switch le16(optional) {
	case 0x10b:
	case 0x20b:
		directories = 112
	default:
		return fmt.Errorf("not an executable of Windows: optional header %#x", le16(optional))
	}
	if n := le32(optional[directories-4:]); n < 5 || n > 16 {
		return fmt.Errorf("executable has %d data directories", n)
	}
	img.checksum, img.entry = offset+64, offset+directories+4*8
	entry, err := readAt(img.r, img.entry, 8)
	if err != nil {
		return fmt.Errorf("read certificate table: %w", err)
	}
	at, length := le32(entry), le32(entry[4:])
	switch {
	case at == 0 && length == 0:
		img.table = img.size
	case at < img.entry+8 || at%8 != 0 || length < 8 || length > maxSignature || at+length != img.size:
		return fmt.Errorf("certificate table of %d bytes at %d in an executable of %d", length, at, img.size)
	default:
		img.table = at
	}
	return nil
}

// digest is Authenticode's: over all but checksum, entry and table. What is
// unsigned is filled up to the border where a table would begin.
func (img image) digest(algorithm crypto.Hash) ([]byte, error) {
	h := algorithm.New()
	from := int64(0)
	for _, gap := range [][2]int64{{img.checksum, img.checksum + 4}, {img.entry, img.entry + 8}, {img.table, img.table}} {
		n := gap[0] - from
		if _, err := io.CopyN(h, io.NewSectionReader(img.r, from, n), n); err != nil {
			return nil, fmt.Errorf("read executable: %w", err)
		}
		from = gap[1]
	}
	h.Write(make([]byte, (8-img.table%8)%8))
	return h.Sum(nil), nil
}

// message is the PKCS #7 message in the certificate table.
func (img image) message() ([]byte, error) {
	if img.table == img.size {
		return nil, ErrUnsigned
	}
	b, err := readAt(img.r, img.table, img.size-img.table)
	if err != nil {
		return nil, fmt.Errorf("read certificate table: %w", err)
	}
	length := le32(b)
	if length < 8 || length > int64(len(b)) || le16(b[4:]) != 0x0200 || le16(b[6:]) != 2 {
		return nil, errors.New("the certificate table holds no PKCS #7 message")
	}
	if int64(len(b))-length >= 8 {
		return nil, errors.New("the certificate table holds more than one signature")
	}
	return b[8:length], nil
}
