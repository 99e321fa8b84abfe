package recovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// ErrDamaged says that neither a checkpoint nor its predecessor is whole.
var ErrDamaged = errors.New("checkpoint is damaged")

// ErrNewer says that a later version of the service made the checkpoint, as
// after a rollback.
var ErrNewer = errors.New("checkpoint is of a newer version")

// Checkpoint keeps work in progress in a file. There is always a whole one:
// each Save replaces it at once, flushed to the disk, and the one before is
// kept. Safe for concurrent use within one process.
type Checkpoint[T any] struct {
	path    string
	version uint32
	migrate func(version uint32, data []byte) (T, error)
	mu      sync.Mutex
}

// NewCheckpoint keeps T as JSON at path, in a folder that exists. version is
// that of T's form; checkpoints of lower versions go through migrate, and are
// errors if that is nil.
func NewCheckpoint[T any](path string, version uint32, migrate func(version uint32, data []byte) (T, error)) *Checkpoint[T] {
	return &Checkpoint[T]{path: path, version: version, migrate: migrate}
}

// Save replaces the checkpoint. After an error the old one is still there.
func (c *Checkpoint[T]) Save(v T) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := json.Marshal(v)
	if err == nil {
		err = writeChecked(c.path, c.version, b)
	}
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return nil
}

// Load reads what was saved last; found is false if there is nothing. A
// damaged file is passed over for the one before it. Errors are ErrDamaged,
// ErrNewer, and those of reading and migrating.
func (c *Checkpoint[T]) Load() (v T, found bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing := 0
	for _, path := range []string{c.path, c.path + previous} {
		b, failed := readChecked(path)
		if failed == nil {
			v, err := c.decode(b)
			return v, err == nil, err
		}
		if errors.Is(failed, fs.ErrNotExist) {
			missing++
		}
		err = errors.Join(err, failed)
	}
	if missing == 2 {
		return v, false, nil
	}
	return v, false, fmt.Errorf("load checkpoint: %w", err)
}

func (c *Checkpoint[T]) decode(b checked) (v T, err error) {
	switch {
	case b.version > c.version:
		err = fmt.Errorf("%w: %d, known is %d", ErrNewer, b.version, c.version)
	case b.version == c.version:
		err = json.Unmarshal(b.payload, &v)
	case c.migrate == nil:
		err = fmt.Errorf("there is no way from version %d to %d", b.version, c.version)
	default:
		v, err = c.migrate(b.version, b.payload)
	}
	if err != nil {
		return v, fmt.Errorf("load checkpoint: %w", err)
	}
	return v, nil
}

// Clear removes the checkpoint: the work is done.
func (c *Checkpoint[T]) Clear() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, path := range []string{c.path + previous, c.path} { // never an old one alone
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clear checkpoint: %w", err)
		}
	}
	return nil
}
