package delta

import (
	"bufio"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// Reader gives the new file. It holds a few pieces of the old one at a time,
// and an eighth of its size to tell where everything went.
type Reader struct {
	old      io.ReaderAt
	model    *model
	coded    *reader
	literals io.ReadCloser
	blocks   []block
	at       int // in the new file: where the first of blocks begins, its literals apart
	done     int // of the bytes that the first of blocks copies
	buf      []byte
	ready    []byte // of buf: not yet read by the caller
	err      error
}

// NewReader prepares to turn old into a new file of size bytes. Whatever is in
// the delta, it neither gives more bytes than that nor panics.
func NewReader(old io.ReaderAt, oldSize int64, delta io.ReaderAt, deltaSize, size int64) (*Reader, error) {
	h, length, err := readHeader(delta, deltaSize)
	if err != nil {
		return nil, err
	}
	if int64(h.oldSize) != oldSize || int64(h.newSize) != size {
		return nil, fmt.Errorf("%w: it turns %d bytes into %d, not %d into %d", ErrCorrupt, h.oldSize, h.newSize, oldSize, size)
	}
	literals := io.NewSectionReader(delta, length, int64(h.literals))
	r := &Reader{old: old, buf: make([]byte, piece+margins)}
	r.coded = newReader(bufioAt(delta, length+int64(h.literals), int64(h.coded)))
	r.model = newModel(r.coded, h.image)
	if r.blocks, err = r.control(h); err != nil {
		return nil, err
	}
	r.model.places = newPlaces(r.blocks, h.oldSize)
	r.literals = flate.NewReader(literals)
	return r, nil
}

// control reads the blocks, which cover the new file exactly.
func (r *Reader) control(h header) ([]block, error) {
	blocks := make([]block, 0, min(h.blocks, 4096))
	from, total := 0, 0
	for range h.blocks {
		b := r.model.control(block{}, from)
		from = b.old + b.size
		total += b.lit + b.size
		if b.lit+b.size == 0 || total > h.newSize || b.old < 0 || from > h.oldSize || r.coded.err != nil || r.model.bad {
			return nil, fmt.Errorf("%w: pieces", ErrCorrupt)
		}
		blocks = append(blocks, b)
	}
	if total != h.newSize {
		return nil, fmt.Errorf("%w: pieces of %d bytes for a file of %d", ErrCorrupt, total, h.newSize)
	}
	return blocks, nil
}

func (r *Reader) Read(p []byte) (int, error) {
	for len(r.ready) == 0 {
		if r.err == nil {
			r.err = r.step()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.ready)
	r.ready = r.ready[n:]
	return n, nil
}

// Close frees what decoding needs.
func (r *Reader) Close() error {
	return r.literals.Close()
}

// step makes the next bytes ready.
func (r *Reader) step() error {
	if len(r.blocks) == 0 {
		return io.EOF
	}
	b := &r.blocks[0]
	switch {
	case b.lit > 0:
		n := min(b.lit, piece)
		if _, err := io.ReadFull(r.literals, r.buf[:n]); err != nil {
			return r.failed(err)
		}
		b.lit -= n
		r.at += n
		r.ready = r.buf[:n]
	case r.done < b.size:
		n, err := r.model.piece(r.old, *b, r.at, r.done, r.buf[:min(b.size-r.done, len(r.buf))])
		if err = errors.Join(err, r.coded.err); err != nil {
			return r.failed(err)
		}
		if r.model.bad {
			return fmt.Errorf("%w: differences", ErrCorrupt)
		}
		r.done += n
		r.ready = r.buf[:n]
	default:
		r.at += b.size
		r.done = 0
		r.blocks = r.blocks[1:]
	}
	return nil
}

// failed tells a delta that is wrong from a disk that is.
func (r *Reader) failed(err error) error {
	if errors.Is(err, errRead) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// bytesAt reads a part of a file byte by byte, and counts them.
type bytesAt struct {
	*bufio.Reader
	read int64
}

func bufioAt(r io.ReaderAt, from, size int64) *bytesAt {
	return &bytesAt{Reader: bufio.NewReaderSize(io.NewSectionReader(r, from, size), 16<<10)}
}

func (b *bytesAt) ReadByte() (byte, error) {
	c, err := b.Reader.ReadByte()
	if err == nil {
		b.read++
	}
	return c, err
}

func (b *bytesAt) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += int64(n)
	return n, err
}
