//go:build linux

package reload

import (
	"os"
	"testing"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/lab/winetest"
)

func TestMain(m *testing.M) {
	lab.Serve() // this program is the daemon of a lab host, too
	os.Exit(m.Run())
}

func TestOnWine(t *testing.T) { winetest.Run(t, ".") }
