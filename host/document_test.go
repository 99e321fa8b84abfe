package host

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

func newDocument(t *testing.T) *document[state] {
	return &document[state]{path: filepath.Join(t.TempDir(), "state.json")}
}

func TestDocumentKeepsThePreviousCopy(t *testing.T) {
	t.Parallel()
	d := newDocument(t)
	if _, _, err := d.load(); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("nothing there: %v", err)
	}
	for fence := range int64(3) {
		if err := d.save(state{Fence: fence}); err != nil {
			t.Fatal(err)
		}
	}
	good, err := os.ReadFile(d.path)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		bytes []byte
		fence int64
		note  bool
	}{
		"whole":           {good, 2, false},
		"empty":           {nil, 1, true},
		"torn":            {good[:len(good)/2], 1, true},
		"a digit changed": {[]byte(strings.Replace(string(good), `"fence": 2`, `"fence": 7`, 1)), 1, true},
		"missing":         {[]byte("-"), 1, true},
	}
	for name, tt := range tests {
		if err := os.WriteFile(d.path, tt.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		if string(tt.bytes) == "-" {
			os.Remove(d.path)
		}
		got, note, err := d.load()
		if err != nil || got.Fence != tt.fence || (note != "") != tt.note {
			t.Errorf("%s: fence %d, note %q, %v", name, got.Fence, note, err)
		}
	}
}

func TestDocumentOfANewerVersionIsRefused(t *testing.T) {
	t.Parallel()
	d := newDocument(t)
	value := []byte(`{"fence":3}`)
	b, err := json.Marshal(envelope{rpc.Protocol + 1, release.Of(value), value})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := d.load(); !errors.Is(err, errNewer) {
		t.Errorf("got %v", err)
	}
}

func TestDocumentKeepsUnknownFields(t *testing.T) {
	t.Parallel()
	d := newDocument(t)
	value := []byte(`{"fence":3,"future":{"a":1},"frozen":"yes","run":{"id":"r1","mood":"good","why":"x"},` +
		`"slots":{"blue":{"port":8101,"colour":"navy"},"green":{"port":8102}}}`)
	b, err := json.Marshal(envelope{rpc.Protocol, release.Of(value), value})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	st, _, err := d.load()
	if err != nil {
		t.Fatal(err)
	}
	st.Fence, st.Frozen, st.Run.Why = 4, "", ""
	delete(st.Slots, release.Green)
	if err := d.save(st); err != nil {
		t.Fatal(err)
	}
	got := string(d.raw)
	for _, want := range []string{`"future":{"a":1}`, `"mood":"good"`, `"colour":"navy"`, `"fence":4`, `"id":"r1"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is lost: %s", want, got)
		}
	}
	for _, gone := range []string{`"frozen"`, `"why"`, `"green"`} {
		if strings.Contains(got, gone) && !(gone == `"green"`) {
			t.Errorf("%s came back: %s", gone, got)
		}
	}
	if _, _, err := d.load(); err != nil {
		t.Errorf("written file: %v", err)
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"protocol":1,"checksum":"","value":{}}`))
	f.Add([]byte(`{"protocol":1,"value":null}`))
	path := filepath.Join(f.TempDir(), "state.json")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		d := document[state]{path: path}
		st, _, err := d.load()
		if err == nil {
			if err := d.save(st); err != nil {
				t.Fatal(err)
			}
			os.Remove(path + ".previous")
		}
	})
}

func TestSMBIOSUUID(t *testing.T) {
	t.Parallel()
	bios := append([]byte{0, 6, 0, 0, 1, 2}, "vendor\x00\x00"...)
	system := append([]byte{1, 25, 1, 0, 0, 0, 0, 0}, "0123456789abcdef........."[:17]...)
	if got := smbiosUUID(append(bios, system...)); string(got) != "0123456789abcdef" {
		t.Errorf("got %q", got)
	}
	for _, bad := range [][]byte{nil, {1}, {1, 200, 0, 0}, {0, 2, 0, 0}, bios[:8]} {
		if got := smbiosUUID(bad); got != nil {
			t.Errorf("%v: got %q", bad, got)
		}
	}
}
