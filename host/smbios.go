package host

import "bytes"

// smbiosUUID finds the system's UUID in SMBIOS tables: each structure is
// type, length, handle, its fields, then strings up to two zero bytes.
func smbiosUUID(tables []byte) []byte {
	for len(tables) >= 4 {
		kind, length := tables[0], int(tables[1])
		if length < 4 || length > len(tables) {
			return nil
		}
		if kind == 1 && length >= 24 {
			return tables[8:24]
		}
		end := bytes.Index(tables[length:], []byte{0, 0})
		if end < 0 {
			return nil
		}
		tables = tables[length+end+2:]
	}
	return nil
}
