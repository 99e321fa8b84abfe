package attest

import (
	"bytes"
	"fmt"
	"slices"
	"sort"

	"github.com/go-shipper/shipper/release"
)

// maxKeys bounds how many keys are trusted at once.
const maxKeys = 32

// Trust is whose releases a service accepts, as it crosses the wire and lies
// on the disk. Without keys everybody's.
type Trust struct {
	Keys     [][]byte `json:"keys,omitempty"`     // PKIX
	Required bool     `json:"required,omitempty"` // refuse what is not signed
}

// TrustOf holds the keys in an order of its own.
func TrustOf(keys []Key, required bool) Trust {
	t := Trust{Required: required && len(keys) > 0}
	for _, k := range keys {
		t.Keys = append(t.Keys, k.DER)
	}
	sort.Slice(t.Keys, func(i, j int) bool { return bytes.Compare(t.Keys[i], t.Keys[j]) < 0 })
	t.Keys = slices.CompactFunc(t.Keys, bytes.Equal)
	return t
}

// Empty reports that nothing is asked of a release.
func (t Trust) Empty() bool { return len(t.Keys) == 0 }

// Has reports whether the key is one of the trusted.
func (t Trust) Has(der []byte) bool {
	return slices.ContainsFunc(t.Keys, func(k []byte) bool { return bytes.Equal(k, der) })
}

// Parse returns the keys.
func (t Trust) Parse() ([]Key, error) {
	if len(t.Keys) > maxKeys {
		return nil, fmt.Errorf("%d keys: more than %d", len(t.Keys), maxKeys)
	}
	var keys []Key
	for _, der := range t.Keys {
		k, err := ParseDER(der)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// Accepts says why a release of the service may not be used, or nil. A
// release without attestation is accepted where none is required.
func (t Trust) Accepts(service string, r release.Release, attestation []byte) (Statement, error) {
	if t.Empty() || len(attestation) == 0 && !t.Required {
		return Statement{}, nil
	}
	if len(attestation) == 0 {
		return Statement{}, fmt.Errorf("release %s is not signed", r)
	}
	keys, err := t.Parse()
	if err != nil {
		return Statement{}, err
	}
	s, _, err := Verify(attestation, keys)
	if err == nil {
		err = s.Covers(service, r)
	}
	return s, err
}

// Equal reports whether both ask the same.
func (t Trust) Equal(other Trust) bool {
	return t.Required == other.Required && slices.EqualFunc(t.Keys, other.Keys, bytes.Equal)
}

// IDs names the keys.
func (t Trust) IDs() []string {
	var ids []string
	for _, der := range t.Keys {
		if k, err := ParseDER(der); err == nil {
			ids = append(ids, k.ID)
		}
	}
	return ids
}
