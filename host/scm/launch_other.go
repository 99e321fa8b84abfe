//go:build !windows

package scm

import "errors"

// LaunchArg is the first argument by which our own executable is told to
// Launch a service.
const LaunchArg = "launch-service"

// Launch is needed on Wine only.
func Launch([]string) (uint32, error) {
	return 1, errors.New("launch service: not needed on this system")
}
