package router

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/release"
)

// protocol is the version of the state file and of the control file.
const protocol = 1

const (
	stateName    = "state.json"
	previousName = "state.previous.json"
	damagedName  = "state.damaged.json"
	maxState     = 4 << 20 // bytes
)

// state is what outlives the router: routes without any canary's share.
type state struct {
	Protocol int            `json:"protocol"`
	Sum      release.Digest `json:"sum"` // of Routes, compact
	Routes   []Route        `json:"routes"`
}

// store keeps the state of one router in its folder.
type store struct {
	dir string
	log *slog.Logger
}

// load reads the state, or the copy before it if the newest one is damaged or
// was just being replaced. No file at all is an empty state.
func (s store) load() ([]Route, error) {
	path := filepath.Join(s.dir, stateName)
	routes, err := readState(path)
	if err == nil {
		return routes, nil
	}
	previous, errPrevious := readState(filepath.Join(s.dir, previousName))
	switch missing := errors.Is(err, fs.ErrNotExist); {
	case missing && errors.Is(errPrevious, fs.ErrNotExist):
		return nil, nil
	case errPrevious != nil:
		return nil, errors.Join(err, errPrevious)
	case !missing:
		if err := rename(path, filepath.Join(s.dir, damagedName)); err != nil {
			return nil, err
		}
	}
	s.log.Error("router state: the previous copy is used", "err", err)
	return previous, nil
}

// save replaces the state; when it returns, the disk has it.
func (s store) save(routes []Route) error {
	sum, err := sumOf(routes)
	if err != nil {
		return fmt.Errorf("encode router state: %w", err)
	}
	data, err := json.MarshalIndent(state{protocol, sum, routes}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode router state: %w", err)
	}
	path := filepath.Join(s.dir, stateName)
	tmp, err := writeTemp(s.dir, data)
	if err != nil {
		return fmt.Errorf("write router state: %w", err)
	}
	if err := rename(path, filepath.Join(s.dir, previousName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("keep router state: %w", err), os.Remove(tmp))
	}
	if err := rename(tmp, path); err != nil {
		return fmt.Errorf("replace router state: %w", err)
	}
	return syncDir(s.dir)
}

func readState(path string) ([]Route, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("router state: %w", err)
	}
	if info.Size() > maxState {
		return nil, fmt.Errorf("router state %s: %d bytes, want at most %d", path, info.Size(), maxState)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("router state: %w", err)
	}
	routes, err := decodeState(data)
	if err != nil {
		return nil, fmt.Errorf("router state %s: %w", path, err)
	}
	return routes, nil
}

// decodeState trusts nothing in the file: version, sum, and each route.
func decodeState(data []byte) ([]Route, error) {
	var s struct {
		state
		Routes json.RawMessage `json:"routes"`
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Protocol != protocol {
		return nil, fmt.Errorf("protocol %d: this router reads %d", s.Protocol, protocol)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, s.Routes); err != nil {
		return nil, fmt.Errorf("routes: %w", err)
	}
	if release.Of(compact.Bytes()) != s.Sum {
		return nil, errors.New("its sum does not match")
	}
	var routes []Route
	if err := json.Unmarshal(s.Routes, &routes); err != nil {
		return nil, err
	}
	return routes, checkRestored(routes)
}

func checkRestored(routes []Route) error {
	for i, r := range routes {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("route %q: %w", r.Service, err)
		}
		for _, other := range routes[:i] {
			if other.Service == r.Service || Collide(other, r) != "" {
				return fmt.Errorf("routes %q and %q collide", other.Service, r.Service)
			}
		}
	}
	return nil
}

func sumOf(routes []Route) (release.Digest, error) {
	compact, err := json.Marshal(routes)
	return release.Of(compact), err
}

// writeTemp leaves a flushed file beside the one it shall replace.
func writeTemp(dir string, data []byte) (string, error) {
	f, err := os.CreateTemp(dir, "tmp-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// rename replaces a file; what a scanner or a backup holds open for a moment
// is tried again, two seconds in all.
func rename(from, to string) error {
	var err error
	for wait := 10 * time.Millisecond; wait < 2*time.Second; wait *= 2 {
		if err = replace(from, to); err == nil || !inUse(err) {
			return err
		}
		time.Sleep(wait)
	}
	return err
}
