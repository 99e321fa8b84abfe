package config

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"TOKEN": "s3cret", "EMPTY": "", "BIG": strings.Repeat("x", maxSecret+1)}[name]
		return v, ok
	}
	read := func(path string) ([]byte, error) {
		if path == "/run/pw" {
			return []byte("line \r\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	for ref, want := range map[string]string{"${env:TOKEN}": "s3cret", "${file:/run/pw}": "line "} {
		if got, err := Resolve(ref, lookup, read); err != nil || got != want {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	for _, ref := range []string{"", "s3cret", "${env:NONE}", "${env:EMPTY}", "${env:BIG}", "${vault:a#b}", "x${env:TOKEN}", "${file:/none}"} {
		got, err := Resolve(ref, lookup, read)
		if err == nil || got != "" || len(err.Error()) > 200 {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	if _, err := Resolve("${file:/none}", lookup, read); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := Resolve("hunter2", lookup, read); strings.Contains(err.Error(), "hunter2") {
		t.Error("an error repeats what may be a secret")
	}
}
