//go:build !race

package analysis

const slowed = false
