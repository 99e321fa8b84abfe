// Caddy as its own documentation builds it: a program that somebody else
// wrote, and that knows nothing of shipper.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
