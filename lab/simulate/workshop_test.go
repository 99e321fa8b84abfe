package simulate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
)

// workshop is what all worlds of a process share: the bundles, and what a
// first release leaves on a host, made once by a world of its own.
type workshop struct {
	dir     string
	bundles map[string]string
	units   map[string]map[string]unit // by host, then by service; nil: none are made yet
}

// newWorkshop takes a folder in memory, where there is one: the disk of the
// hosts.
func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = os.TempDir()
	}
	// Its name is in messages, whose length is part of a story.
	dir := filepath.Join(base, fmt.Sprintf("shipper-simulate-%08d", os.Getpid()))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &workshop{dir: dir}
	var err error
	if s.bundles, err = packAll(dir); err != nil {
		t.Fatal(err)
	}
	w := simulate(t, 0, s, scenario{hosts: maxHosts, bare: true, only: true, offsets: make([]time.Duration, 3)})
	if err := w.err(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.world(), s.model()); err != nil {
		t.Fatal(err)
	}
	s.units = map[string]map[string]unit{}
	for _, h := range w.hosts {
		s.units[h.name] = h.scm.copied()
	}
	return s
}

// world is the folder of the world that lives: the same for each, because
// services name files by their whole path.
func (s *workshop) world() string { return filepath.Join(s.dir, "world") }

func (s *workshop) model() string { return filepath.Join(s.dir, "model") }

// furnish gives a host what the first release left on it.
func (s *workshop) furnish(h *machine) error {
	for name, u := range s.units[h.name] {
		h.scm.units[name] = &u
	}
	h.scm.pids += 100
	return os.CopyFS(filepath.Join(s.world(), h.name), os.DirFS(filepath.Join(s.model(), h.name)))
}

// packAll packs every version once, for all seeds.
func packAll(dir string) (map[string]string, error) {
	out := map[string]string{}
	for _, v := range []string{first, next, third, deaf, sick, crashes, errs} {
		out[v] = filepath.Join(dir, v+".zip")
		if err := pack(out[v], v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pack(path, version string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	data := map[string]string{"orders": program(version), "version.txt": version}
	var files []release.File
	for _, name := range []string{"orders", "version.txt"} {
		b := []byte(data[name])
		files = append(files, release.File{Path: name, Size: int64(len(b)), SHA256: release.Of(b)})
	}
	m := packaging.Manifest{
		Protocol: packaging.Protocol, Name: service, Version: version, Builder: "prebuilt", Time: time.Unix(1, 0).UTC(),
		Targets: []packaging.TargetManifest{{GOOS: runtime.GOOS, GOARCH: runtime.GOARCH, Executable: "orders", Files: files}},
	}
	_, err = packaging.WriteBundle(f, m, func(_ packaging.TargetManifest, f release.File) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(data[f.Path]))), nil
	})
	return errors.Join(err, f.Close())
}
