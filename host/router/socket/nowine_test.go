//go:build !linux

package socket

func prepare() {}
