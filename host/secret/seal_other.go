//go:build !windows

package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const keyFile = "seal.key"

// header makes a change of the format visible, and is authenticated.
var header = []byte("shipper-sealed-1\n")

func (b Box) seal(plain []byte) ([]byte, error) {
	key, err := b.key()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = b.makeKey()
	}
	if err != nil {
		return nil, err
	}
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(append([]byte{}, header...), nil, plain, header), nil
}

func (b Box) open(sealed []byte) ([]byte, error) {
	if len(sealed) < len(header) || string(sealed[:len(header)]) != string(header) {
		return nil, errors.New("it was not sealed by this program")
	}
	key, err := b.key()
	if err != nil {
		return nil, err
	}
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, nil, sealed[len(header):], header)
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// key refuses a key that others can read: it would be no secret.
func (b Box) key() ([]byte, error) {
	path := filepath.Join(b.dir, keyFile)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read key %s: mode %v, want a file for its owner only", path, info.Mode())
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return key, nil
}

// makeKey gives the key its name only when it is complete; who comes second
// uses the first one's.
func (b Box) makeKey() ([]byte, error) {
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return nil, fmt.Errorf("create key folder: %w", err)
	}
	f, err := os.CreateTemp(b.dir, keyFile)
	if err != nil {
		return nil, fmt.Errorf("create key: %w", err)
	}
	defer os.Remove(f.Name())
	key := make([]byte, 32)
	rand.Read(key)
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, fmt.Errorf("create key: %w", err)
	}
	err = os.Link(f.Name(), filepath.Join(b.dir, keyFile))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create key: %w", err)
	}
	return b.key()
}
