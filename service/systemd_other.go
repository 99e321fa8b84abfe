//go:build !linux

package service

import "time"

// inheritedSockets is none where there is no systemd.
func inheritedSockets(func(string) string) ([]namedListener, error) { return nil, nil }

func monotonic() time.Duration { return 0 }
