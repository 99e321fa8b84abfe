//go:build !linux

package recovery

func prepare() {}
