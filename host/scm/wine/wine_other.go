//go:build !windows

// Package wine tells whether this Windows is Wine, where some calls are
// missing; on a real Windows their failure is an error.
package wine

// Detected is false: this is no Windows at all.
func Detected() bool { return false }
