//go:build !windows && !linux

package scm

import "errors"

func ownsPort(int, int) (bool, error) {
	return false, errors.New("find the owner of a port: not supported on this system")
}

// PortOwner names the program that listens on a TCP port.
func PortOwner(int) (string, error) {
	return "", errors.New("find the owner of a port: not supported on this system")
}
