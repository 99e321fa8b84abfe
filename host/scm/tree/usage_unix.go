//go:build !windows && !linux

package tree

import "errors"

func usage(int) (Usage, error) {
	return Usage{}, errors.New("this system does not tell what processes use")
}
