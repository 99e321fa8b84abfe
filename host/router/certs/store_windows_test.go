package certs

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/go-shipper/shipper/host/rpc"
)

// system is a call of the system that answers 0 if it went well.
func system(t *testing.T, what string) func(status, _ uintptr, _ error) {
	return func(status, _ uintptr, _ error) {
		t.Helper()
		if status != 0 {
			t.Fatalf("%s: %v", what, windows.Errno(status))
		}
	}
}

func wide(t *testing.T, s string) unsafe.Pointer {
	t.Helper()
	p, err := windows.UTF16PtrFromString(s)
	if err != nil {
		t.Fatal(err)
	}
	return unsafe.Pointer(p)
}

// newKey lets the system make an RSA key; this program sees its public half.
func newKey(t *testing.T) *storeKey {
	t.Helper()
	var provider, key windows.Handle
	system(t, "open the key store")(ncrypt.NewProc("NCryptOpenStorageProvider").Call(
		uintptr(unsafe.Pointer(&provider)), uintptr(wide(t, "Microsoft Software Key Storage Provider")), 0))
	system(t, "create a key")(ncrypt.NewProc("NCryptCreatePersistedKey").Call(
		uintptr(provider), uintptr(unsafe.Pointer(&key)), uintptr(wide(t, "RSA")), 0, 0, 0))
	free := ncrypt.NewProc("NCryptFreeObject")
	t.Cleanup(func() {
		_, _, _ = free.Call(uintptr(key))
		_, _, _ = free.Call(uintptr(provider))
	})
	bits := uint32(2048)
	system(t, "set the length")(ncrypt.NewProc("NCryptSetProperty").Call(
		uintptr(key), uintptr(wide(t, "Length")), uintptr(unsafe.Pointer(&bits)), unsafe.Sizeof(bits), 0))
	system(t, "finish the key")(ncrypt.NewProc("NCryptFinalizeKey").Call(uintptr(key), 0))
	blob, size := make([]byte, 4096), uint32(0)
	system(t, "show the public key")(ncrypt.NewProc("NCryptExportKey").Call(uintptr(key), 0, uintptr(wide(t, "RSAPUBLICBLOB")), 0,
		uintptr(unsafe.Pointer(&blob[0])), uintptr(len(blob)), uintptr(unsafe.Pointer(&size)), 0))
	return &storeKey{handle: key, public: publicOf(blob[:size])}
}

// publicOf reads a BCRYPT_RSAKEY_BLOB: six numbers, the exponent, the modulus.
func publicOf(blob []byte) *rsa.PublicKey {
	exponent, modulus := binary.LittleEndian.Uint32(blob[8:]), binary.LittleEndian.Uint32(blob[12:])
	rest := blob[24:]
	return &rsa.PublicKey{
		E: int(new(big.Int).SetBytes(rest[:exponent]).Int64()), N: new(big.Int).SetBytes(rest[exponent : exponent+modulus]),
	}
}

// put adds a certificate for a name, which k signs itself, to a store. With
// attach the store knows the key, as long as it is open.
func put(t *testing.T, store windows.Handle, k *storeKey, name string, days int, attach bool) []byte {
	t.Helper()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "of " + name}, DNSNames: []string{name},
		NotBefore: time.Now().AddDate(0, 0, -100), NotAfter: time.Now().AddDate(0, 0, days), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, k.public, k)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := windows.CertCreateCertificateContext(windows.X509_ASN_ENCODING, &der[0], uint32(len(der)))
	if err != nil {
		t.Fatal(err)
	}
	defer windows.CertFreeCertificateContext(cert)
	var added *windows.CertContext
	if err := windows.CertAddCertificateContextToStore(store, cert, windows.CERT_STORE_ADD_ALWAYS, &added); err != nil {
		t.Fatal(err)
	}
	defer windows.CertFreeCertificateContext(added)
	if attach {
		attachKey(t, added, k)
	}
	return der
}

// attachKey sets CERT_KEY_CONTEXT_PROP_ID; the key stays the test's own.
func attachKey(t *testing.T, cert *windows.CertContext, k *storeKey) {
	t.Helper()
	const keyContext, noRelease = 5, 1
	value := struct {
		size uint32
		key  windows.Handle
		spec uint32
	}{key: k.handle, spec: windows.CERT_NCRYPT_KEY_SPEC}
	value.size = uint32(unsafe.Sizeof(value))
	set := windows.NewLazySystemDLL("crypt32.dll").NewProc("CertSetCertificateContextProperty")
	if ok, _, err := set.Call(uintptr(unsafe.Pointer(cert)), keyContext, noRelease, uintptr(unsafe.Pointer(&value))); ok == 0 {
		t.Fatalf("attach the key: %v", err)
	}
}

func thumbprint(der []byte) string {
	sum := sha1.Sum(der)
	return hex.EncodeToString(sum[:])
}

// TLS is served with a key that only the system has, found as the router
// finds it: by thumbprint, and by name the one that is valid and ends last.
func TestStoreServesTLS(t *testing.T) {
	store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_MEMORY, 0, 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = windows.CertCloseStore(store, 0) })
	key := newKey(t)
	put(t, store, key, "other.example", 300, true)
	first := put(t, store, key, "shop.example", 30, true)
	renewed := put(t, store, key, "shop.example", 90, true)
	put(t, store, key, "shop.example", -1, true)
	for _, c := range []struct {
		want rpc.Certificate
		der  []byte
	}{
		{rpc.Certificate{Thumbprint: strings.ToUpper(thumbprint(first))}, first},
		{rpc.Certificate{Subject: "Shop.example"}, renewed},
		{rpc.Certificate{Subject: "of shop.example"}, renewed},
	} {
		cert, seen, err := inStore(store, c.want, entry{})
		if err != nil {
			t.Fatalf("%s: %v", name(c.want), err)
		}
		if again, _, err := inStore(store, c.want, entry{cert: cert, seen: seen}); again != cert || err != nil {
			t.Errorf("%s: what did not change is taken anew, %v", name(c.want), err)
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			shakeHands(t, cert, c.der, version)
		}
	}
	if _, _, err := inStore(store, rpc.Certificate{Subject: "nobody.example"}, entry{}); !errors.Is(err, errNoCertificate) {
		t.Errorf("a name that none is for: %v", err)
	}
}

// shakeHands wants a client that trusts der alone to be served with cert.
func shakeHands(t *testing.T, cert *tls.Certificate, der []byte, version uint16) {
	t.Helper()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust := x509.NewCertPool()
	trust.AddCert(leaf)
	server, client := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- tls.Server(server, &tls.Config{Certificates: []tls.Certificate{*cert}}).Handshake()
	}()
	err = tls.Client(client, &tls.Config{RootCAs: trust, ServerName: "shop.example", MaxVersion: version}).Handshake()
	client.Close()
	if served := <-served; err != nil || served != nil {
		t.Errorf("TLS %x: client %v, server %v", version, err, served)
	}
}

// A certificate of LocalMachine\My is found there; that it has no key is told.
func TestStoreOfTheMachineIsSearched(t *testing.T) {
	my := wide(t, "MY")
	open := func() windows.Handle {
		store, err := windows.CertOpenStore(windows.CERT_STORE_PROV_SYSTEM_W, 0, 0, windows.CERT_SYSTEM_STORE_LOCAL_MACHINE, uintptr(my))
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
	store := open()
	der := put(t, store, newKey(t), "lonely.shipper.example", 30, false)
	if err := windows.CertCloseStore(store, 0); err != nil { // writes it
		t.Fatal(err)
	}
	t.Cleanup(func() {
		store := open()
		defer windows.CertCloseStore(store, 0)
		found, _, err := search(store, rpc.Certificate{Thumbprint: thumbprint(der)}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := windows.CertDeleteCertificateFromStore(found); err != nil {
			t.Error(err)
		}
	})
	for _, want := range []rpc.Certificate{{Thumbprint: thumbprint(der)}, {Subject: "lonely.shipper.example"}} {
		if _, err := Load([]rpc.Certificate{want}, time.Now); !errors.Is(err, windows.Errno(windows.CRYPT_E_NO_KEY_PROPERTY)) {
			t.Errorf("%s: %v, want that its key is missing", name(want), err)
		}
	}
	none := rpc.Certificate{Thumbprint: strings.Repeat("0", 40)}
	if _, err := Load([]rpc.Certificate{none}, time.Now); !errors.Is(err, errNoCertificate) {
		t.Errorf("one that is not there: %v", err)
	}
}
