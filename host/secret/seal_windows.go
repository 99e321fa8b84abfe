package secret

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Machine scope: the slot's account opens what the guard's account sealed.
const flags = windows.CRYPTPROTECT_LOCAL_MACHINE | windows.CRYPTPROTECT_UI_FORBIDDEN

func (Box) seal(plain []byte) ([]byte, error) {
	var out windows.DataBlob
	if err := windows.CryptProtectData(blob(plain), nil, nil, 0, nil, flags, &out); err != nil {
		return nil, err
	}
	return take(out), nil
}

func (Box) open(sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, errors.New("it is empty")
	}
	var out windows.DataBlob
	if err := windows.CryptUnprotectData(blob(sealed), nil, nil, 0, nil, flags, &out); err != nil {
		return nil, err
	}
	return take(out), nil
}

func blob(b []byte) *windows.DataBlob {
	if len(b) == 0 {
		return &windows.DataBlob{Data: new(byte)}
	}
	return &windows.DataBlob{Size: uint32(len(b)), Data: &b[0]}
}

// take copies the system's memory and gives it back.
func take(out windows.DataBlob) []byte {
	defer windows.LocalFree(windows.Handle(unsafe.Pointer(out.Data)))
	return append([]byte{}, unsafe.Slice(out.Data, out.Size)...)
}
