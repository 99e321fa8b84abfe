// Package shipper hands out the source of the service kit, for the example
// service that is shipped in the demo and the tests: there is no other place
// from which it could get the kit of this very version.
package shipper

import "embed"

// Kit has the folder service and what lies below it.
//
//go:embed service
var Kit embed.FS
