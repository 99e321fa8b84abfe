// Package delta tells a new executable by an old one: what the two have in
// common is copied, and what differs is coded by how it differs. One inserted
// line moves all code behind it, so nearly every address in the file changes,
// and nearly all of them by the same few amounts: those cost next to nothing.
//
// A delta is a header, the bytes that are in no way like the old ones deflated,
// and one stream of bits that says what goes where and what differs.
// Nothing here checks that the result is what it should be: whoever applies a
// delta compares digests.
package delta

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxSize bounds old and new file together: an encoder holds both in memory.
const MaxSize = 128 << 20

// ErrTooLarge says that files are beyond MaxSize, or too different.
var ErrTooLarge = errors.New("too large for a delta")

// ErrCorrupt says that what should be a delta is none, or not for this file.
var ErrCorrupt = errors.New("corrupt delta")

const (
	magic     = "SHD1"
	maxBlocks = 1 << 20
	piece     = 32 << 10
)

// header is what a delta begins with.
type header struct {
	oldSize, newSize int
	blocks           int
	literals, coded  int // bytes of the two streams
	image            image
}

// Encode returns a delta that turns old into new. The same files give the same
// bytes everywhere.
func Encode(ctx context.Context, old, new []byte) ([]byte, error) {
	if len(old)+len(new) > MaxSize {
		return nil, fmt.Errorf("%d and %d bytes: %w", len(old), len(new), ErrTooLarge)
	}
	blocks, err := match(ctx, old, new)
	if err != nil {
		return nil, err
	}
	if len(blocks) > maxBlocks {
		return nil, fmt.Errorf("%d pieces: %w", len(blocks), ErrTooLarge)
	}
	h := header{oldSize: len(old), newSize: len(new), blocks: len(blocks), image: layout(old, new)}
	literals, err := squeeze(new, blocks)
	if err != nil {
		return nil, err
	}
	coded, err := code(ctx, old, new, blocks, h.image)
	if err != nil {
		return nil, err
	}
	h.literals, h.coded = len(literals), len(coded)
	return append(append(h.bytes(), literals...), coded...), nil
}

// squeeze compresses what no block copies.
func squeeze(new []byte, blocks []block) ([]byte, error) {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	at := 0
	for _, b := range blocks {
		if _, err := w.Write(new[at : at+b.lit]); err != nil {
			return nil, fmt.Errorf("compress: %w", err)
		}
		at += b.lit + b.size
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

// code writes the blocks, all of them first, and then how each differs.
func code(ctx context.Context, old, new []byte, blocks []block, img image) ([]byte, error) {
	w := newWriter()
	m := newModel(w, img)
	from := 0
	for _, b := range blocks {
		m.control(b, from)
		from = b.old + b.size
	}
	m.places = newPlaces(blocks, len(old))
	at := 0
	for _, b := range blocks {
		at += b.lit
		for done := 0; done < b.size; {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			n, err := m.piece(bytes.NewReader(old), b, at, done, new[at+done:at+b.size])
			if err != nil {
				return nil, err
			}
			done += n
		}
		at += b.size
	}
	return w.close(), nil
}

func (h header) bytes() []byte {
	b := []byte(magic)
	for _, n := range []int{h.oldSize, h.newSize, h.blocks, h.literals, h.coded, len(h.image.segments)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = binary.AppendUvarint(b, h.image.base)
	for _, s := range h.image.segments {
		code := 0
		if s.code {
			code = 1
		}
		for _, n := range []int{s.start, s.size, s.address, code} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = binary.AppendVarint(b, int64(s.shift))
	}
	return b
}

// readHeader returns the header and its length.
func readHeader(r io.ReaderAt, size int64) (header, int64, error) {
	var h header
	in := bufioAt(r, 0, size)
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(in, start); err != nil || string(start) != magic {
		return h, 0, fmt.Errorf("%w: it does not begin as one", ErrCorrupt)
	}
	var bad error
	number := func(limit uint64) int {
		n, err := binary.ReadUvarint(in)
		if err != nil || n > limit {
			bad = fmt.Errorf("%w: header", ErrCorrupt)
			return 0
		}
		return int(n)
	}
	h.oldSize, h.newSize = number(MaxSize), number(MaxSize)
	h.blocks, h.literals, h.coded = number(maxBlocks), number(MaxSize), number(MaxSize)
	segments := number(maxSegments)
	base, err := binary.ReadUvarint(in)
	if err != nil || bad != nil {
		return h, 0, fmt.Errorf("%w: header", ErrCorrupt)
	}
	h.image.base = base
	for range segments {
		s := segment{start: number(MaxSize), size: number(MaxSize), address: number(maxAddress), code: number(1) == 1}
		shift, err := binary.ReadVarint(in)
		if err != nil || bad != nil || s.size == 0 || shift > maxAddress || shift < -maxAddress {
			return h, 0, fmt.Errorf("%w: header", ErrCorrupt)
		}
		s.shift = int(shift)
		h.image.segments = append(h.image.segments, s)
	}
	length := in.read
	if length+int64(h.literals)+int64(h.coded) != size {
		return h, 0, fmt.Errorf("%w: %d bytes where %d are announced", ErrCorrupt, size, length+int64(h.literals)+int64(h.coded))
	}
	return h, length, nil
}
