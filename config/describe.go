package config

import (
	_ "embed"
	"strings"
)

// describe.txt tells what each key means, for editors: `Type.key: text`.
// docs/CONFIGURATION.md tells more.
//
//go:embed describe.txt
var described string

func descriptions() map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(described) {
		if key, text, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			out[key] = text
		}
	}
	return out
}
