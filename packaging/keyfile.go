package packaging

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release/attest"
)

// maxKeyFile bounds a file with a key, in bytes.
const maxKeyFile = 64 << 10

// Kinds of keys that Keygen makes.
const (
	Ed25519 = "ed25519"
	ECDSA   = "ecdsa"
)

// Keygen makes a key pair: the private half at path, readable by its owner
// only and encrypted where there is a passphrase, the public half at
// path.pub. It overwrites nothing.
func Keygen(path, kind, passphrase string) (attest.Key, error) {
	private, err := newKey(kind)
	if err != nil {
		return attest.Key{}, err
	}
	key, err := attest.KeyOf(private.Public())
	if err != nil {
		return key, err
	}
	text, err := encodeKey(private, passphrase)
	if err != nil {
		return key, problem.Wrap(problem.Failed, err, "make a key", "")
	}
	if err := create(path, text, 0o600); err != nil {
		return key, err
	}
	if err := create(path+".pub", key.PEM(), 0o644); err != nil {
		return key, errors.Join(err, os.Remove(path))
	}
	return key, nil
}

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case ECDSA:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return nil, problem.New(problem.Usage, problem.Suggest(kind, []string{Ed25519, ECDSA}), "unknown kind of key `%s`", kind)
}

// create writes a new file, whole or not at all.
func create(path string, text []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, os.ErrExist) {
		return problem.Wrap(problem.Usage, err, "write key", "name another file; keys are never overwritten, because what they signed could not be signed again")
	}
	if err != nil {
		return problem.Wrap(problem.Usage, err, "write key", "")
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return problem.Wrap(problem.Failed, errors.Join(err, os.Remove(path)), "write key", "")
	}
	return nil
}

func encodeKey(private crypto.Signer, passphrase string) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	if passphrase == "" {
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	}
	sealed, err := sealPKCS8(der, passphrase)
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: sealed}), err
}

// Signer opens the private key that the configuration names; nil if it names
// none.
func Signer(a config.Attest) (crypto.Signer, error) {
	if a.Key == "" {
		return nil, nil
	}
	text, err := keyText(a.Key)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read attest.key", "`shipper keygen` makes one")
	}
	passphrase, err := secret(a.Passphrase)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read attest.passphrase", "secrets are resolved where shipper runs")
	}
	private, err := decodeKey(text, passphrase)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "read attest.key", "name a key of `shipper keygen`, and its passphrase if it has one")
	}
	return private, nil
}

func keyText(key string) ([]byte, error) {
	if config.IsRef(key) {
		text, err := config.Resolve(key, os.LookupEnv, os.ReadFile)
		return []byte(text), err
	}
	return readSmall(key, maxKeyFile)
}

func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return b, err
}

func decodeKey(text []byte, passphrase string) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	der := block.Bytes
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" && passphrase == "":
		return nil, errors.New("the key is encrypted, and there is no passphrase")
	case block.Type == "ENCRYPTED PRIVATE KEY":
		var err error
		if der, err = openPKCS8(der, passphrase); err != nil {
			return nil, err
		}
	case block.Type != "PRIVATE KEY":
		return nil, fmt.Errorf("a PEM block %.40q, not PRIVATE KEY", block.Type)
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	_, err = attest.KeyOf(private.Public())
	return private, err
}

// PublicKeys reads the keys in files.
func PublicKeys(paths []string) ([]attest.Key, error) {
	var keys []attest.Key
	for _, path := range paths {
		text, err := readSmall(path, maxKeyFile)
		if err == nil {
			var key attest.Key
			if key, err = attest.ParsePEM(text); err == nil {
				keys = append(keys, key)
				continue
			}
		}
		return nil, problem.Wrap(problem.Usage, err, "read public key "+path, "name the .pub file that `shipper keygen` wrote")
	}
	return keys, nil
}
