package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// maxSecret bounds a secret, in bytes.
const maxSecret = 64 << 10

var (
	wholeRef = regexp.MustCompile(`^\$\{([a-z]+):([^{}]+)\}$`)
	anyRef   = regexp.MustCompile(`\$\{(env|file|vault|exec):`)
)

// IsRef reports whether s is a reference to a secret and nothing else.
func IsRef(s string) bool { return wholeRef.MatchString(s) }

// hasRef reports whether a reference stands anywhere in s.
func hasRef(s string) bool { return anyRef.MatchString(s) }

// parseRef splits ${scheme:value}; only env and file are part of this version.
func parseRef(ref string) (scheme, value string, err error) {
	m := wholeRef.FindStringSubmatch(ref)
	switch {
	case m == nil:
		return "", "", errors.New("not a reference: want ${env:NAME} or ${file:PATH}")
	case m[1] == "env", m[1] == "file":
		return m[1], m[2], nil
	case m[1] == "vault", m[1] == "exec":
		return "", "", fmt.Errorf("${%s:…} is not part of this version: use ${env:NAME} or ${file:PATH}", m[1])
	}
	return "", "", fmt.Errorf("unknown kind of reference ${%s:…}: use ${env:NAME} or ${file:PATH}", shorten(m[1]))
}

// absoluteRef makes the path of a ${file:…} independent of the working folder.
func absoluteRef(dir, ref string) string {
	scheme, value, err := parseRef(ref)
	if err != nil || scheme != "file" {
		return ref
	}
	return "${file:" + join(dir, filepath.FromSlash(value)) + "}"
}

// Resolve reads the secret that ref names. What it returns must go nowhere
// but to the host; errors name the reference only. A file's last line end is
// not part of the secret; empty secrets are errors.
func Resolve(ref string, lookup func(string) (string, bool), read func(string) ([]byte, error)) (string, error) {
	scheme, name, err := parseRef(ref)
	if err != nil {
		return "", err
	}
	value, err := fetch(scheme, name, lookup, read)
	switch {
	case err != nil:
		return "", fmt.Errorf("secret %s: %w", ref, err)
	case value == "":
		return "", fmt.Errorf("secret %s: it is empty", ref)
	case len(value) > maxSecret:
		return "", fmt.Errorf("secret %s: larger than %d bytes", ref, maxSecret)
	}
	return value, nil
}

func fetch(scheme, name string, lookup func(string) (string, bool), read func(string) ([]byte, error)) (string, error) {
	if scheme == "env" {
		value, ok := lookup(name)
		if !ok {
			return "", errors.New("the environment variable is not set")
		}
		return value, nil
	}
	data, err := read(name)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), nil
}
