package secrets

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

// unseal opens what shipper sealed for this machine (DPAPI).
func unseal(b []byte) ([]byte, error) {
	if len(b) == 0 {
		return nil, errors.New("it is empty")
	}
	var out windows.DataBlob
	in := windows.DataBlob{Size: uint32(len(b)), Data: &b[0]}
	if err := windows.CryptUnprotectData(&in, nil, nil, 0, nil, windows.CRYPTPROTECT_UI_FORBIDDEN, &out); err != nil {
		return nil, err
	}
	defer windows.LocalFree(windows.Handle(unsafe.Pointer(out.Data)))
	return append([]byte{}, unsafe.Slice(out.Data, out.Size)...), nil
}
