package authenticode

import (
	"bytes"
	"crypto"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/smallstep/pkcs7"
)

// Signature is one that holds: the image is the one that was signed, and the
// message is by the certificate. Whether that certificate is to be trusted is
// the question of Chain.
type Signature struct {
	Digest    []byte // of the image
	Algorithm crypto.Hash
	Signer    *x509.Certificate
	Time      time.Time // as the signer says; zero if it does not

	certificates []*x509.Certificate
}

// Digest is the SHA-256 of an executable without its signature: equal before
// and after it is signed.
func Digest(r io.ReaderAt, size int64) ([]byte, error) {
	img, err := parse(r, size)
	if err != nil {
		return nil, err
	}
	return img.digest(crypto.SHA256)
}

// Verify checks the signature of an executable, or returns ErrUnsigned.
func Verify(r io.ReaderAt, size int64) (*Signature, error) {
	img, err := parse(r, size)
	if err != nil {
		return nil, err
	}
	raw, err := img.message()
	if err != nil {
		return nil, err
	}
	raw = trimPadding(raw)
	if err := checkDER(raw, 0); err != nil {
		return nil, err
	}
	p7, err := pkcs7.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("read signature: %w", err)
	}
	if len(p7.Signers) != 1 {
		return nil, fmt.Errorf("the signature has %d signers", len(p7.Signers))
	}
	if err := p7.Verify(); err != nil {
		return nil, fmt.Errorf("the signature is wrong: %w", err)
	}
	s := &Signature{Signer: p7.GetOnlySigner(), certificates: p7.Certificates}
	if s.Signer == nil {
		return nil, errors.New("the signature lacks its signer's certificate")
	}
	if s.Algorithm, s.Digest, err = indirect(p7.Content); err != nil {
		return nil, err
	}
	_ = p7.UnmarshalSignedAttribute(pkcs7.OIDAttributeSigningTime, &s.Time) // optional
	got, err := img.digest(s.Algorithm)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(got, s.Digest) {
		return nil, errors.New("the executable was changed after it was signed")
	}
	return s, nil
}

// trimPadding takes off the zeros that fill the table up to a multiple of 8.
func trimPadding(raw []byte) []byte {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(raw, &outer)
	if err != nil || len(rest) >= 8 || len(bytes.Trim(rest, "\x00")) > 0 {
		return raw
	}
	return raw[:len(raw)-len(rest)]
}

// Chain says why the signer's certificate does not lead to one of roots for
// signing code, or nil. It is asked for the time of signing, as far as that is
// known.
func (s *Signature) Chain(roots *x509.CertPool) error {
	between := x509.NewCertPool()
	for _, c := range s.certificates {
		between.AddCert(c)
	}
	_, err := s.Signer.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: s.Time,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	})
	return err
}

type algorithmIdentifier struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

type attributeTypeAndValue struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"optional"`
}

type digestInfo struct {
	Algorithm algorithmIdentifier
	Digest    []byte
}

func imageData() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}
}

// indirect reads SpcIndirectDataContent, which comes without its outer header.
func indirect(content []byte) (crypto.Hash, []byte, error) {
	var data attributeTypeAndValue
	rest, err := asn1.Unmarshal(content, &data)
	if err != nil || !data.Type.Equal(imageData()) {
		return 0, nil, errors.New("the signature is not over an executable")
	}
	var info digestInfo
	if rest, err = asn1.Unmarshal(rest, &info); err != nil || len(rest) != 0 {
		return 0, nil, errors.New("the signature holds no digest")
	}
	h, err := hashOf(info.Algorithm.Algorithm)
	if err == nil && len(info.Digest) != h.Size() {
		err = errors.New("the signature's digest has the wrong length")
	}
	return h, info.Digest, err
}

func hashOf(id asn1.ObjectIdentifier) (crypto.Hash, error) {
	switch id.String() {
	case "2.16.840.1.101.3.4.2.1":
		return crypto.SHA256, nil
	case "2.16.840.1.101.3.4.2.2":
		return crypto.SHA384, nil
	case "2.16.840.1.101.3.4.2.3":
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("the signature uses the digest %s", id)
}
