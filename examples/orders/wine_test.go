//go:build linux

package main

import (
	"testing"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/winetest"
)

// prepare lets this program be the daemon of a lab host.
func prepare() { lab.Serve() }

func TestOnWine(t *testing.T) { winetest.Run(t, "InMaintenance") }
