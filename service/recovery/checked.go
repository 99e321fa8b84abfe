package recovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// A checked file is: magic, version (4 bytes), length (8 bytes), SHA-256 of
// version, length and payload, payload. Numbers are big-endian.
const (
	magic      = "svckeep1"
	headerSize = len(magic) + 4 + 8 + sha256.Size
	// maxChecked bounds what is read into memory.
	maxChecked = 256 << 20
	previous   = ".previous"
)

type checked struct {
	version uint32
	payload []byte
}

func encodeChecked(c checked) []byte {
	b := append(make([]byte, 0, headerSize+len(c.payload)), magic...)
	b = binary.BigEndian.AppendUint32(b, c.version)
	b = binary.BigEndian.AppendUint64(b, uint64(len(c.payload)))
	sum := digest(b[len(magic):], c.payload)
	return append(append(b, sum...), c.payload...)
}

func decodeChecked(b []byte) (checked, error) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return checked{}, fmt.Errorf("%w: no header", ErrDamaged)
	}
	head, payload := b[len(magic):headerSize-sha256.Size], b[headerSize:]
	if binary.BigEndian.Uint64(head[4:]) != uint64(len(payload)) {
		return checked{}, fmt.Errorf("%w: %d bytes", ErrDamaged, len(payload))
	}
	if !bytes.Equal(digest(head, payload), b[headerSize-sha256.Size:headerSize]) {
		return checked{}, fmt.Errorf("%w: checksum", ErrDamaged)
	}
	return checked{binary.BigEndian.Uint32(head), payload}, nil
}

func digest(head, payload []byte) []byte {
	h := sha256.New()
	h.Write(head)
	h.Write(payload)
	return h.Sum(nil)
}

func readChecked(path string) (checked, error) {
	f, err := os.Open(path)
	if err != nil {
		return checked{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxChecked+1))
	if err != nil {
		return checked{}, err
	}
	if len(b) > maxChecked {
		return checked{}, fmt.Errorf("%w: more than %d bytes", ErrDamaged, maxChecked)
	}
	return decodeChecked(b)
}

// writeChecked replaces the file at path, and keeps a whole one that was there
// as the previous one. At each moment one of the two is whole.
func writeChecked(path string, version uint32, payload []byte) error {
	if len(payload) > maxChecked-headerSize {
		return fmt.Errorf("%d bytes are too much", len(payload))
	}
	next := path + ".next"
	if err := writeFlushed(next, encodeChecked(checked{version, payload})); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	if _, err := readChecked(path); err == nil {
		if err := replace(path, path+previous); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDamaged) {
		return err
	}
	return replace(next, path)
}

func writeFlushed(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
