package certs

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/go-shipper/shipper/host/rpc"
)

var errNoCertificate = errors.New(`LocalMachine\My has no such certificate`)

// fromStore finds a certificate of LocalMachine\My. Its key stays where it
// is: the store signs.
func fromStore(want rpc.Certificate, old entry) (*tls.Certificate, [sha256.Size]byte, error) {
	my, err := windows.UTF16PtrFromString("MY")
	if err != nil {
		return nil, old.seen, err
	}
	store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0,
		windows.CERT_SYSTEM_STORE_LOCAL_MACHINE|windows.CERT_STORE_READONLY_FLAG|windows.CERT_STORE_OPEN_EXISTING_FLAG,
		uintptr(unsafe.Pointer(my)))
	if err != nil {
		return nil, old.seen, fmt.Errorf(`open LocalMachine\My: %w`, err)
	}
	defer windows.CertCloseStore(store, 0)
	return inStore(store, want, old)
}

func inStore(store windows.Handle, want rpc.Certificate, old entry) (*tls.Certificate, [sha256.Size]byte, error) {
	found, leaf, err := search(store, want, time.Now())
	if err != nil {
		return nil, old.seen, err
	}
	seen := sha256.Sum256(leaf.Raw)
	if seen == old.seen && old.cert != nil && old.err == nil {
		return old.cert, seen, windows.CertFreeCertificateContext(found)
	}
	key, err := keyOf(found, leaf)
	if err != nil {
		return nil, seen, errors.Join(err, windows.CertFreeCertificateContext(found))
	}
	chain, err := chainOf(found)
	if err != nil {
		return nil, seen, err
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, seen, nil
}

// search gives, of those that fit, one that is valid now and ends last.
func search(store windows.Handle, want rpc.Certificate, now time.Time) (*windows.CertContext, *x509.Certificate, error) {
	var best *windows.CertContext
	var leaf *x509.Certificate
	var at *windows.CertContext
	for {
		var err error
		if at, err = windows.CertEnumCertificatesInStore(store, at); err != nil || at == nil {
			break // the end is an error, too
		}
		cert, err := x509.ParseCertificate(unsafe.Slice(at.EncodedCert, at.Length))
		if err != nil || !fits(cert, want) || leaf != nil && !better(cert, leaf, now) {
			continue
		}
		if best != nil {
			_ = windows.CertFreeCertificateContext(best) // a duplicate
		}
		best, leaf = windows.CertDuplicateCertificateContext(at), cert
	}
	if best == nil {
		return nil, nil, errNoCertificate
	}
	return best, leaf, nil
}

func fits(cert *x509.Certificate, want rpc.Certificate) bool {
	if want.Thumbprint != "" {
		sum := sha1.Sum(cert.Raw)
		return strings.EqualFold(hex.EncodeToString(sum[:]), want.Thumbprint)
	}
	if strings.EqualFold(cert.Subject.CommonName, want.Subject) {
		return true
	}
	for _, name := range cert.DNSNames {
		if strings.EqualFold(name, want.Subject) {
			return true
		}
	}
	return false
}

func better(a, b *x509.Certificate, now time.Time) bool {
	validA, validB := !now.Before(a.NotBefore) && !now.After(a.NotAfter), !now.Before(b.NotBefore) && !now.After(b.NotAfter)
	if validA != validB {
		return validA
	}
	return a.NotAfter.After(b.NotAfter)
}

// chainOf gives the certificate and those between it and a root, without
// asking the network.
func chainOf(leaf *windows.CertContext) ([][]byte, error) {
	const cacheOnly = 4 // CERT_CHAIN_CACHE_ONLY_URL_RETRIEVAL
	para := windows.CertChainPara{}
	para.Size = uint32(unsafe.Sizeof(para))
	var built *windows.CertChainContext
	if err := windows.CertGetCertificateChain(0, leaf, nil, leaf.Store, &para, cacheOnly, 0, &built); err != nil {
		return nil, fmt.Errorf("build the chain: %w", err)
	}
	defer windows.CertFreeCertificateChain(built)
	chain := [][]byte{raw(leaf)}
	if built.ChainCount == 0 {
		return chain, nil
	}
	first := unsafe.Slice(built.Chains, built.ChainCount)[0]
	elements := unsafe.Slice(first.Elements, first.NumElements)
	for _, e := range elements[min(1, len(elements)):] {
		cert, err := x509.ParseCertificate(raw(e.CertContext))
		if err != nil || string(cert.RawIssuer) == string(cert.RawSubject) {
			break // the root: clients have it, or do not trust it
		}
		chain = append(chain, cert.Raw)
	}
	return chain, nil
}

func raw(c *windows.CertContext) []byte {
	return append([]byte(nil), unsafe.Slice(c.EncodedCert, c.Length)...)
}
