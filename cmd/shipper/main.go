// Shipper releases Go services to Windows hosts without downtime and takes
// them back by itself when they are bad.
package main

import (
	"context"
	"os"
	"runtime/debug"
)

func main() {
	if os.Getenv("GOGC") == "" { // pushes use their buffers again, and runners have little memory
		debug.SetGCPercent(50)
	}
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
