//go:build !windows

package service

func platformService() (Mode, bool) { return Daemon, false }
