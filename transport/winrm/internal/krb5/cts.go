package krb5

import "crypto/cipher"

const blockSize = 16 // of AES, in bytes

// encryptCTS encrypts p in place: CBC from a zero vector with the last two
// blocks swapped and cut, so that the length stays (RFC 3962). p is longer
// than one block.
func encryptCTS(b cipher.Block, p []byte) {
	var zero, last [blockSize]byte
	full := (len(p) - 1) / blockSize * blockSize
	cbc := cipher.NewCBCEncrypter(b, zero[:])
	cbc.CryptBlocks(p[:full], p[:full])
	copy(last[:], p[full:])
	cbc.CryptBlocks(last[:], last[:])
	copy(p[full:], p[full-blockSize:full])
	copy(p[full-blockSize:], last[:])
}

// decryptCTS is its inverse, in place as well.
func decryptCTS(b cipher.Block, c []byte) {
	var chain, last, stolen [blockSize]byte
	full := (len(c) - 1) / blockSize * blockSize
	n := len(c) - full
	b.Decrypt(last[:], c[full-blockSize:full])
	copy(stolen[:], c[full:])
	copy(stolen[n:], last[n:]) // what the encryption cut off
	if head := c[:full-blockSize]; len(head) > 0 {
		next := [blockSize]byte(head[len(head)-blockSize:])
		cipher.NewCBCDecrypter(b, chain[:]).CryptBlocks(head, head)
		chain = next
	}
	for i := range n {
		c[full+i] = last[i] ^ stolen[i]
	}
	before := c[full-blockSize : full]
	b.Decrypt(before, stolen[:])
	for i := range before {
		before[i] ^= chain[i]
	}
}
