// Shipper-host is the program on the host: the bridge that a controller talks
// to, the guard, the router, the wrapper for console programs, and the
// break-glass verbs for a person at the console.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
