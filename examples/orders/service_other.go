//go:build !windows

package main

import "context"

// host runs serve until the program is told to stop.
func host(serve func(ctx context.Context, ready func()) error) error { return console(serve) }
