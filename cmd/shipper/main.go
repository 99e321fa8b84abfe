// Shipper releases Go services to Windows hosts without downtime and takes
// them back by itself when they are bad.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}
