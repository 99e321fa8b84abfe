package local_test

import (
	"runtime"
	"testing"

	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/local"
	"github.com/go-shipper/shipper/transport/transporttest"
)

func TestContract(t *testing.T) {
	transporttest.Run(t, transporttest.Host{
		Dial: func(t *testing.T) transport.Conn {
			c, err := local.Dial(t.Context(), local.Config{})
			if err != nil {
				t.Fatal(err)
			}
			return c
		},
		Probe: transporttest.Build(t, runtime.GOOS, runtime.GOARCH),
		Temp:  t.TempDir(),
	})
}
