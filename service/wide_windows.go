package service

import (
	"errors"
	"unicode/utf16"

	"golang.org/x/sys/windows"
)

// missingOnWine forgives, on Wine only, a setting that the system does not know.
func missingOnWine(err error) bool {
	missing := errors.Is(err, windows.ERROR_INVALID_LEVEL) || errors.Is(err, windows.ERROR_CALL_NOT_IMPLEMENTED) ||
		errors.Is(err, windows.ERROR_INVALID_PARAMETER)
	return missing && onWine()
}

func onWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

// wide is text without a zero in it, which withDefaults saw to.
func wide(s string) *uint16 {
	p, _ := windows.UTF16PtrFromString(s)
	return p
}

// wideList is a list of texts with an empty one at its end.
func wideList(list []string) *uint16 {
	var all []uint16
	for _, s := range list {
		all = append(append(all, utf16.Encode([]rune(s))...), 0)
	}
	if len(all) == 0 {
		all = []uint16{0}
	}
	return &append(all, 0)[0]
}

// requiredPrivileges is SERVICE_REQUIRED_PRIVILEGES_INFO.
type requiredPrivileges struct{ list *uint16 }

func flag32(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
