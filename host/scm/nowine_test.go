//go:build !linux

package scm_test

func prepare() {}
