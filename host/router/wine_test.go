//go:build linux

package router

import (
	"os"
	"testing"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/winetest"
)

func TestMain(m *testing.M) {
	lab.Serve() // this program is the daemon of a lab host too
	os.Exit(m.Run())
}

// What asks the operating system goes another way there.
func TestOnWine(t *testing.T) { winetest.Run(t, `"Direct|WhoReads"`) }
