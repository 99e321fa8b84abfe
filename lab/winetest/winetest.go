// Package winetest runs a package's Windows tests on a host of the lab.
package winetest
