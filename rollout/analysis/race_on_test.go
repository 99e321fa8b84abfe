//go:build race

package analysis

// slowed: under the race detector, which has no race to find in arithmetic, a
// tenth of the simulated hours has to do.
const slowed = true
