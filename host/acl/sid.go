package acl

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// serviceSID is the security identifier of a virtual account (the service's
// name without `NT SERVICE\`). Windows derives it from the name, so that
// rights can be given before the service exists.
func serviceSID(service string) string {
	var name []byte
	for _, u := range utf16.Encode([]rune(strings.ToUpper(service))) {
		name = binary.LittleEndian.AppendUint16(name, u)
	}
	sum := sha1.Sum(name)
	sid := "S-1-5-80"
	for i := 0; i < len(sum); i += 4 {
		sid += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(sum[i:]))
	}
	return sid
}
