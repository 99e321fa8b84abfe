//go:build !windows

package scm

// EventSources lists nothing: only Windows has event sources.
func EventSources() ([]string, error) { return nil, nil }
