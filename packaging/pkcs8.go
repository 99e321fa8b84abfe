package packaging

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// Private keys at rest are encrypted as PKCS #8 has it (PBES2: PBKDF2 with
// HMAC-SHA-256, then AES-256-CBC), so that openssl reads them, too.

const (
	rounds    = 600_000
	maxRounds = 10_000_000
)

type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Params struct {
	KDF    pkix.AlgorithmIdentifier
	Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Params struct {
	Salt   []byte
	Rounds int
	PRF    pkix.AlgorithmIdentifier
}

func oidPBES2() asn1.ObjectIdentifier  { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13} }
func oidPBKDF2() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12} }
func oidHMACSHA256() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
}
func oidAES256CBC() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
}

func sealPKCS8(der []byte, passphrase string) ([]byte, error) {
	salt, iv := make([]byte, 16), make([]byte, aes.BlockSize)
	_, _ = rand.Read(salt) // never fails
	_, _ = rand.Read(iv)
	block, err := passphraseCipher(passphrase, salt, rounds)
	if err != nil {
		return nil, err
	}
	n := aes.BlockSize - len(der)%aes.BlockSize
	plain := append(bytes.Clone(der), bytes.Repeat([]byte{byte(n)}, n)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(plain, plain)
	kdf, err := algorithm(oidPBKDF2(), pbkdf2Params{Salt: salt, Rounds: rounds, PRF: pkix.AlgorithmIdentifier{Algorithm: oidHMACSHA256(), Parameters: asn1.NullRawValue}})
	if err != nil {
		return nil, err
	}
	aes, err := algorithm(oidAES256CBC(), iv)
	if err != nil {
		return nil, err
	}
	pbes2, err := algorithm(oidPBES2(), pbes2Params{KDF: kdf, Cipher: aes})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(encryptedKey{Algorithm: pbes2, Data: plain})
}

func algorithm(id asn1.ObjectIdentifier, params any) (pkix.AlgorithmIdentifier, error) {
	raw, err := asn1.Marshal(params)
	return pkix.AlgorithmIdentifier{Algorithm: id, Parameters: asn1.RawValue{FullBytes: raw}}, err
}

func passphraseCipher(passphrase string, salt []byte, n int) (cipher.Block, error) {
	key, err := pbkdf2.Key(sha256.New, passphrase, salt, n, 32)
	if err != nil {
		return nil, err
	}
	return aes.NewCipher(key)
}

var errPassphrase = errors.New("wrong passphrase")

func openPKCS8(sealed []byte, passphrase string) ([]byte, error) {
	var key encryptedKey
	var pbes2 pbes2Params
	var kdf pbkdf2Params
	var iv []byte
	err := errors.Join(whole(sealed, &key), whole(key.Algorithm.Parameters.FullBytes, &pbes2),
		whole(pbes2.KDF.Parameters.FullBytes, &kdf), whole(pbes2.Cipher.Parameters.FullBytes, &iv))
	if err != nil || !key.Algorithm.Algorithm.Equal(oidPBES2()) || !pbes2.KDF.Algorithm.Equal(oidPBKDF2()) ||
		!pbes2.Cipher.Algorithm.Equal(oidAES256CBC()) || !kdf.PRF.Algorithm.Equal(oidHMACSHA256()) {
		return nil, errors.New("the key is encrypted in another way than PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC")
	}
	if kdf.Rounds < 1 || kdf.Rounds > maxRounds || len(iv) != aes.BlockSize || len(key.Data) == 0 || len(key.Data)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("the encrypted key is damaged")
	}
	block, err := passphraseCipher(passphrase, kdf.Salt, kdf.Rounds)
	if err != nil {
		return nil, err
	}
	plain := bytes.Clone(key.Data)
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, plain)
	n := int(plain[len(plain)-1])
	if n < 1 || n > aes.BlockSize || !bytes.Equal(plain[len(plain)-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errPassphrase
	}
	plain = plain[:len(plain)-n]
	if err := whole(plain, new(asn1.RawValue)); err != nil {
		return nil, errPassphrase
	}
	return plain, nil
}

// whole decodes what nothing may follow.
func whole(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("something follows")
	}
	return err
}
