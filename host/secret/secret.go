// Package secret seals what must not be read off the disk: with DPAPI for
// this machine on Windows, with a key file elsewhere. The seal binds to the
// machine; who may read the file is the work of its access list (host/acl).
package secret

import (
	"encoding/json"
	"fmt"
)

// MaxSealed bounds what Open takes, in bytes.
const MaxSealed = 4 << 20

// Box seals and opens. Safe for concurrent use.
type Box struct{ dir string }

// NewBox returns the box of this machine. dir holds the key file where the
// system has no sealing of its own; it is made on the first Seal, for its
// owner only. Windows does not use it.
func NewBox(dir string) Box { return Box{dir: dir} }

// Seal encrypts plain, so that only this machine can open it.
func (b Box) Seal(plain []byte) ([]byte, error) {
	sealed, err := b.seal(plain)
	if err != nil {
		return nil, fmt.Errorf("seal secret: %w", err)
	}
	return sealed, nil
}

// Open decrypts what Seal made; anything else is an error.
func (b Box) Open(sealed []byte) ([]byte, error) {
	if len(sealed) > MaxSealed {
		return nil, fmt.Errorf("open sealed secret: %d bytes, at most %d are allowed", len(sealed), MaxSealed)
	}
	plain, err := b.open(sealed)
	if err != nil {
		return nil, fmt.Errorf("open sealed secret: %w", err)
	}
	return plain, nil
}

// SealMap seals named values: the content of a revision's secrets file.
func (b Box) SealMap(values map[string]string) ([]byte, error) {
	plain, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("seal secrets: %w", err)
	}
	return b.Seal(plain)
}

// OpenMap opens what SealMap made.
func (b Box) OpenMap(sealed []byte) (map[string]string, error) {
	plain, err := b.Open(sealed)
	if err != nil {
		return nil, err
	}
	var values map[string]string
	if err := json.Unmarshal(plain, &values); err != nil {
		return nil, fmt.Errorf("open sealed secrets: not a map of names to values") // the reason would quote them
	}
	return values, nil
}
