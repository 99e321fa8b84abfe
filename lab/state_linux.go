package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/problem"
)

// Dir is where labs keep their state: SHIPPER_LAB_DIR, or a folder in the
// user's cache.
func Dir() (string, error) {
	if dir := os.Getenv("SHIPPER_LAB_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", problem.Wrap(problem.Usage, err, "find the lab's folder", "set SHIPPER_LAB_DIR to a folder of yours")
	}
	return filepath.Join(cache, "shipper", "lab"), nil
}

// Lab is a running lab.
type Lab struct {
	dir     string // its own folder
	state   labState
	watcher *watcher // of a temporary lab
}

// labState is lab.json.
type labState struct {
	Name    string
	Created time.Time
	Network network
	Hosts   []Host
}

var validName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

func checkName(name string) error {
	if !validName.MatchString(name) {
		return problem.New(problem.Usage, "use a-z, 0-9 and '-', at most 20 characters", "lab name %q is not usable", name)
	}
	return nil
}

// load reads a lab's state; os.ErrNotExist if there is no such lab.
func load(base, name string) (*Lab, error) {
	dir := filepath.Join(base, "labs", name)
	l := &Lab{dir: dir}
	if err := readJSON(filepath.Join(dir, "lab.json"), &l.state); err != nil {
		return nil, fmt.Errorf("read lab %s: %w", name, err)
	}
	return l, nil
}

func (l *Lab) hostDir(host string) string { return filepath.Join(l.dir, host) }

func (l *Lab) host(name string) (Host, error) {
	for _, h := range l.state.Hosts {
		if h.Name == name {
			return h, nil
		}
	}
	return Host{}, problem.New(problem.Usage, "see `shipper lab list`", "lab %s has no host %q", l.state.Name, name)
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// writeJSON replaces path at once; it may hold a password.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, b, 0o600)
}

func writeFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// lockFile waits for an exclusive lock that ends with the process.
func lockFile(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
