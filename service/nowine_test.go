//go:build !linux

package service

func prepare() {}
