package secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestValueHides(t *testing.T) {
	v := New("hunter2")
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v, "in", struct{ V Value }{v})
	b, err := json.Marshal(map[string]any{"v": v, "p": &v})
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+" ", v)
		fmt.Fprintf(&out, verb+" ", struct{ V Value }{v})
		fmt.Fprintf(&out, verb+" ", &v)
	}
	out.Write(b)
	if text := out.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "68756e746572") || v.Reveal() != "hunter2" {
		t.Error(text)
	}
}

func TestReferences(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"lf": "hunter2\n", "crlf": "hunter2\r\n", "none": "hunter2", "two": "a\nb\n\n", "empty": "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, maxSecret+1), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Resolver{Env: func(name string) string { return map[string]string{"DB_PASSWORD": "hunter2"}[name] }}
	tests := map[string]struct {
		want    string
		missing bool
	}{
		"env:DB_PASSWORD":              {"hunter2", false},
		"env:OTHER":                    {"", true},
		"shipper:DB_PASSWORD":          {"hunter2", false},
		"file:" + dir + "/lf":          {"hunter2", false},
		"file:" + dir + "/crlf":        {"hunter2", false},
		"file:" + dir + "/none":        {"hunter2", false},
		"file:" + dir + "/two":         {"a\nb\n", false},
		"file:" + dir + "/empty":       {"", true},
		"file:" + dir + "/missing":     {"", true},
		"file:" + dir + "/large":       {"", false},
		"vault:secret/orders#password": {"", false},
		"hunter2":                      {"", false},
	}
	for reference, tt := range tests {
		v, err := r.Get(t.Context(), reference)
		if v.Reveal() != tt.want || (err == nil) != (tt.want != "") || errors.Is(err, ErrMissing) != tt.missing {
			t.Errorf("%s: %q, %v", reference, v.Reveal(), err)
		}
	}
}
