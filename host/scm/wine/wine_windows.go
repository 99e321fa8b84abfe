// Package wine tells whether this Windows is Wine, where some calls are
// missing; on a real Windows their failure is an error.
package wine

import "golang.org/x/sys/windows"

// Detected reports whether ntdll is Wine's own.
func Detected() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}
