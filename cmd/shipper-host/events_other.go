//go:build !windows

package main

import "github.com/go-shipper/shipper/host"

func openEvents() func(host.Event) { return nil }

func removeEvents() error { return nil }
