package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// maxDocument bounds a state file, in bytes.
const maxDocument = 8 << 20

// document is a state file: a value with protocol and checksum, written so
// that at every instant a complete copy is on the disk, the one before it too.
// Fields that a newer version wrote survive.
type document[T any] struct {
	path  string
	raw   json.RawMessage                  // the value as last read or written
	wrote func(string) error               // for tests: the power may go out after a write
	write func(string, func() error) error // nil: just do it
}

type envelope struct {
	Protocol int             `json:"protocol"`
	Checksum release.Digest  `json:"checksum"` // of Value, compact
	Value    json.RawMessage `json:"value"`
}

// errNewer refuses what this version would only damage.
var errNewer = errors.New("a newer version wrote it")

// load reads the value; note is not empty when only the previous copy was
// readable. The error is fs.ErrNotExist if there was never one.
func (d *document[T]) load() (value T, note string, err error) {
	value, err = d.read(d.path)
	if err == nil || errors.Is(err, errNewer) {
		return value, "", err
	}
	previous, second := d.read(d.path + ".previous")
	switch {
	case second == nil:
		return previous, fmt.Sprintf("%s was not readable (%v): the copy before it is used", d.path, err), nil
	case errors.Is(err, fs.ErrNotExist) && errors.Is(second, fs.ErrNotExist):
		return value, "", err
	default:
		return value, "", fmt.Errorf("read %s: %w; nor is the copy before it: %w", d.path, err, second)
	}
}

func (d *document[T]) read(path string) (value T, err error) {
	b, err := readBounded(path, maxDocument)
	if err != nil {
		return value, err
	}
	var e envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return value, fmt.Errorf("read %s: %w", path, err)
	}
	if e.Protocol > rpc.Protocol {
		return value, fmt.Errorf("read %s: protocol %d: %w", path, e.Protocol, errNewer)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, e.Value); err != nil {
		return value, fmt.Errorf("read %s: %w", path, err)
	}
	if release.Of(compact.Bytes()) != e.Checksum {
		return value, fmt.Errorf("read %s: wrong checksum", path)
	}
	if err := json.Unmarshal(e.Value, &value); err != nil {
		return value, fmt.Errorf("read %s: %w", path, err)
	}
	d.raw = compact.Bytes()
	return value, nil
}

// save replaces the file, flushed, and keeps the copy before.
func (d *document[T]) save(value T) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", d.path, err)
	}
	if raw, err = keepUnknown(d.raw, raw, reflect.TypeFor[T]()); err != nil {
		return fmt.Errorf("write %s: %w", d.path, err)
	}
	b, err := json.MarshalIndent(envelope{rpc.Protocol, release.Of(raw), raw}, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", d.path, err)
	}
	if old, err := readBounded(d.path, maxDocument); err == nil {
		if err := writeFile(d.path+".previous", old); err != nil {
			return err
		}
	}
	if err := d.put(b); err != nil {
		return err
	}
	d.raw = raw
	if d.wrote != nil {
		return d.wrote(d.path)
	}
	return nil
}

func (d *document[T]) put(b []byte) error {
	write := func() error { return writeFile(d.path, b) }
	if d.write != nil {
		return d.write(d.path, write)
	}
	return write()
}

func (d *document[T]) remove() error {
	d.raw = nil
	remove := func() error { return errors.Join(removeFile(d.path), removeFile(d.path+".previous")) }
	if d.write != nil {
		return d.write(d.path, remove)
	}
	return remove()
}

// keepUnknown copies into now what then has in places that t does not know.
func keepUnknown(then, now json.RawMessage, t reflect.Type) (json.RawMessage, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var old, fresh map[string]json.RawMessage
	if t.Kind() != reflect.Struct && t.Kind() != reflect.Map || json.Unmarshal(then, &old) != nil || old == nil {
		return now, nil
	}
	if err := json.Unmarshal(now, &fresh); err != nil || fresh == nil {
		return now, nil // null, or a type with a form of its own
	}
	known := fieldTypes(t)
	for name, value := range old {
		inner, ok := known[name]
		if t.Kind() == reflect.Map {
			inner, ok = t.Elem(), true
		}
		if !ok {
			fresh[name] = value
			continue
		}
		if _, still := fresh[name]; still {
			kept, err := keepUnknown(value, fresh[name], inner)
			if err != nil {
				return nil, err
			}
			fresh[name] = kept
		}
	}
	return json.Marshal(fresh)
}

// fieldTypes are the JSON names of a struct, embedded structs included.
func fieldTypes(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	if t.Kind() != reflect.Struct {
		return out
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			out[name] = f.Type
		}
	}
	return out
}

// writeFile replaces path by b: written beside, flushed, renamed.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	err := patiently(func() error {
		f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		return errors.Join(err, f.Sync(), f.Close())
	})
	if err == nil {
		err = acl.Replace(tmp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func removeFile(path string) error {
	err := patiently(func() error { return os.Remove(path) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func readBounded(path string, limit int64) ([]byte, error) {
	var b []byte
	err := patiently(func() error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() > limit {
			return fmt.Errorf("read %s: %d bytes, at most %d are expected", path, info.Size(), limit)
		}
		b, err = os.ReadFile(path)
		return err
	})
	return b, err
}

// patiently repeats what a virus scanner or a backup got in the way of, for a
// second at most: they open files for moments without sharing them.
func patiently(f func() error) error {
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		err := f()
		if err == nil || !isSharing(err) || wait > 500*time.Millisecond {
			return err
		}
		time.Sleep(wait)
	}
}
