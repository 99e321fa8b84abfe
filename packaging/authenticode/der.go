package authenticode

import "errors"

// maxDepth bounds how deep elements of a signature may lie in each other;
// real ones need about 15.
const maxDepth = 40

var errDER = errors.New("the signature is not well-formed DER")

// checkDER looks at the frame of all elements before anything decodes them:
// definite lengths, each within the one around it, not too deep. Decoders of
// the laxer BER can be kept busy for hours by what this refuses.
func checkDER(b []byte, depth int) error {
	if depth > maxDepth {
		return errDER
	}
	for len(b) > 0 {
		constructed, body, rest, ok := element(b)
		if !ok {
			return errDER
		}
		if constructed {
			if err := checkDER(body, depth+1); err != nil {
				return err
			}
		}
		b = rest
	}
	return nil
}

// element splits off the first one. Tags above 30 do not occur.
func element(b []byte) (constructed bool, body, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f || b[0] == 0 {
		return false, nil, nil, false
	}
	n, b, constructed := int(b[1]), b[2:], b[0]&0x20 != 0
	if n >= 0x80 {
		digits := n & 0x7f
		if digits < 1 || digits > 4 || len(b) < digits || b[0] == 0 {
			return false, nil, nil, false
		}
		n = 0
		for _, d := range b[:digits] {
			n = n<<8 | int(d)
		}
		if b = b[digits:]; n < 0x80 {
			return false, nil, nil, false
		}
	}
	if n < 0 || n > len(b) {
		return false, nil, nil, false
	}
	return constructed, b[:n], b[n:], true
}
