// Package flock holds a file for one process at a time. Whoever has it loses
// it by its end, however that comes.
package flock

import (
	"errors"
	"os"
)

// ErrHeld says that another process, or another part of this one, has the file.
var ErrHeld = errors.New("held by another process")

// Lock is a file that nobody else has.
type Lock struct{ *os.File }

// Close frees it at once, also where a program that is just being started has a
// copy of the descriptor for a moment.
func (l *Lock) Close() error { return errors.Join(unlock(l.File), l.File.Close()) }
