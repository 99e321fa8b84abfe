// Package reload changes a service's settings while it works: a configuration
// file that is watched, validated, and applied as a whole or not at all; named
// parameters with ranges; and limits of connections and requests that follow
// them without cutting anyone off.
package reload
