//go:build linux

package certs

import (
	"os"
	"testing"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/winetest"
)

func TestMain(m *testing.M) {
	lab.Serve()
	os.Exit(m.Run())
}

func TestOnWine(t *testing.T) { winetest.Run(t, "Store") }
