package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Ways of padding that NCryptSignHash knows.
const (
	padPKCS1 = 2
	padPSS   = 8
)

// procedures of the system that package windows does not have.
var (
	ncrypt   = windows.NewLazySystemDLL("ncrypt.dll")
	signHash = ncrypt.NewProc("NCryptSignHash")
)

// storeKey signs with a key that nobody can take out of its store.
type storeKey struct {
	handle windows.Handle // of NCrypt
	public crypto.PublicKey
}

var _ crypto.Signer = (*storeKey)(nil)

// keyOf takes over cert: the key's handle is a part of it, and ends with it.
func keyOf(cert *windows.CertContext, leaf *x509.Certificate) (*storeKey, error) {
	k := &storeKey{public: leaf.PublicKey}
	switch leaf.PublicKey.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey:
	default:
		return nil, fmt.Errorf("its key is neither RSA nor ECDSA")
	}
	var spec uint32
	var ours bool // never, because it is cached
	err := windows.CryptAcquireCertificatePrivateKey(cert,
		windows.CRYPT_ACQUIRE_ONLY_NCRYPT_KEY_FLAG|windows.CRYPT_ACQUIRE_CACHE_FLAG|windows.CRYPT_ACQUIRE_SILENT_FLAG,
		nil, &k.handle, &spec, &ours)
	if err != nil {
		return nil, fmt.Errorf("its private key cannot be used by this account: %w", err)
	}
	if spec != windows.CERT_NCRYPT_KEY_SPEC {
		return nil, errors.New("its private key is not one of the newer kind (CNG)")
	}
	runtime.AddCleanup(k, func(cert *windows.CertContext) { _ = windows.CertFreeCertificateContext(cert) }, cert)
	return k, nil
}

// Public implements crypto.Signer.
func (k *storeKey) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer.
func (k *storeKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, isRSA := k.public.(*rsa.PublicKey); !isRSA {
		sig, err := k.sign(nil, digest, 0)
		if err != nil {
			return nil, err
		}
		half := len(sig) / 2
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])})
	}
	algorithm, err := algorithmOf(opts.HashFunc())
	if err != nil {
		return nil, err
	}
	if pss, ok := opts.(*rsa.PSSOptions); ok {
		salt := pss.SaltLength
		if salt == rsa.PSSSaltLengthEqualsHash || salt == rsa.PSSSaltLengthAuto {
			salt = opts.HashFunc().Size()
		}
		info := struct {
			algorithm *uint16
			salt      uint32
		}{algorithm, uint32(salt)}
		return k.sign(unsafe.Pointer(&info), digest, padPSS)
	}
	info := struct{ algorithm *uint16 }{algorithm}
	return k.sign(unsafe.Pointer(&info), digest, padPKCS1)
}

func algorithmOf(h crypto.Hash) (*uint16, error) {
	name, ok := map[crypto.Hash]string{crypto.SHA256: "SHA256", crypto.SHA384: "SHA384", crypto.SHA512: "SHA512", crypto.SHA1: "SHA1"}[h]
	if !ok {
		return nil, fmt.Errorf("hash %v is not known to the store", h)
	}
	return windows.UTF16PtrFromString(name)
}

// sign asks for the signature's length first.
func (k *storeKey) sign(padding unsafe.Pointer, digest []byte, flags uintptr) ([]byte, error) {
	defer runtime.KeepAlive(k)
	var size uint32
	if err := k.call(padding, digest, nil, &size, flags); err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, errors.New("the store signs with nothing")
	}
	sig := make([]byte, size)
	err := k.call(padding, digest, sig, &size, flags)
	return sig[:min(int(size), len(sig))], err
}

func (k *storeKey) call(padding unsafe.Pointer, digest, sig []byte, size *uint32, flags uintptr) error {
	status, _, _ := signHash.Call(uintptr(k.handle), uintptr(padding),
		uintptr(unsafe.Pointer(unsafe.SliceData(digest))), uintptr(len(digest)),
		uintptr(unsafe.Pointer(unsafe.SliceData(sig))), uintptr(len(sig)), uintptr(unsafe.Pointer(size)), flags)
	if status != 0 {
		return fmt.Errorf("sign by the store's key: %w", windows.Errno(status))
	}
	return nil
}
