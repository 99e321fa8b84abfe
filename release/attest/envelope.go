package attest

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	mediaType   = "application/vnd.dev.sigstore.bundle.v0.3+json"
	payloadType = "application/vnd.in-toto+json"

	// MaxSize bounds an attestation, in bytes.
	MaxSize = 256 << 10
)

// Errors of Verify that callers tell apart.
var (
	ErrMalformed = errors.New("attestation is damaged or was tampered with")
	ErrUntrusted = errors.New("signed by a key that is not trusted")
)

// sigstore is Sigstore's bundle, version 0.3, with a key of the user's own:
// no certificate, no transparency log.
type sigstore struct {
	MediaType            string `json:"mediaType"`
	VerificationMaterial struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
	} `json:"verificationMaterial"`
	Envelope struct {
		Payload     []byte      `json:"payload"`
		PayloadType string      `json:"payloadType"`
		Signatures  []signature `json:"signatures"`
	} `json:"dsseEnvelope"`
}

type signature struct {
	Sig []byte `json:"sig"`
}

// Sign puts a statement into an envelope. The same statement and key give the
// same bytes.
func Sign(s Statement, by crypto.Signer) ([]byte, error) {
	key, err := KeyOf(by.Public())
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode statement: %w", err)
	}
	sig, err := sign(by, preAuthentication(payload))
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	var b sigstore
	b.MediaType = mediaType
	b.VerificationMaterial.PublicKey.Hint = key.ID
	b.Envelope.Payload, b.Envelope.PayloadType = payload, payloadType
	b.Envelope.Signatures = []signature{{Sig: sig}}
	out, err := json.Marshal(b)
	if err == nil && len(out) > MaxSize {
		err = fmt.Errorf("attestation of %d bytes: more than %d", len(out), MaxSize)
	}
	return out, err
}

// preAuthentication is what DSSE signs.
func preAuthentication(payload []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	b.Write(payload)
	return b.Bytes()
}

// Verify returns the statement in an attestation that one of keys signed, and
// the key. It takes only the very bytes that Sign wrote, so that nothing in
// an attestation can be changed unseen.
func Verify(attestation []byte, keys []Key) (Statement, Key, error) {
	b, err := open(attestation)
	if err != nil {
		return Statement{}, Key{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	id := b.VerificationMaterial.PublicKey.Hint
	for _, key := range keys {
		if key.ID != id {
			continue
		}
		if !key.verify(preAuthentication(b.Envelope.Payload), b.Envelope.Signatures[0].Sig) {
			return Statement{}, Key{}, fmt.Errorf("%w: the signature is wrong", ErrMalformed)
		}
		s, err := decodeStatement(b.Envelope.Payload)
		return s, key, err
	}
	return Statement{}, Key{}, fmt.Errorf("%w: %.12q", ErrUntrusted, id)
}

// Read returns the statement without any proof, for those who show it or
// compare it, and the ID of the key that it says signed it.
func Read(attestation []byte) (s Statement, id string, err error) {
	b, err := open(attestation)
	if err == nil {
		s, err = decodeStatement(b.Envelope.Payload)
	}
	if err != nil {
		return s, "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return s, b.VerificationMaterial.PublicKey.Hint, nil
}

func open(attestation []byte) (sigstore, error) {
	var b sigstore
	if len(attestation) > MaxSize {
		return b, fmt.Errorf("%d bytes: more than %d", len(attestation), MaxSize)
	}
	if err := json.Unmarshal(attestation, &b); err != nil {
		return b, err
	}
	again, err := json.Marshal(b)
	switch {
	case err != nil:
		return b, err
	case !bytes.Equal(again, attestation):
		return b, errors.New("not in its canonical form")
	case b.MediaType != mediaType || b.Envelope.PayloadType != payloadType || len(b.Envelope.Signatures) != 1:
		return b, fmt.Errorf("a %.80q with a %.80q and %d signatures", b.MediaType, b.Envelope.PayloadType, len(b.Envelope.Signatures))
	}
	return b, nil
}
