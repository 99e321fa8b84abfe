//go:build !linux

package wrapper

func prepare() {}
