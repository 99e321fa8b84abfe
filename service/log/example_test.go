package log_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/service/log"
)

func Example() {
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	l, err := log.Open(log.Options{
		Service:  "orders",
		Version:  "1.2.3",
		File:     filepath.Join(dir, "orders.log"),
		Rotation: log.Rotation{MaxBytes: 20 << 20, Keep: 7},
		Full:     log.Drop,
	})
	if err != nil {
		panic(err)
	}
	l.Logger().Info("order taken", "id", 7)
	if err := l.Close(); err != nil {
		panic(err)
	}
	fmt.Printf("%+v\n", l.Stats())
	// Output: {Lines:1 Dropped:0 Failed:0 Waits:0}
}
