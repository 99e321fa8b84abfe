//go:build !windows

package scm

// RunService runs a service's body until it ends or a signal stops it, and
// returns the body's error.
func RunService(_ string, run Body) error { return runConsole(run) }
