// Package flock holds a file for one process at a time. Whoever has it loses
// it by its end, however that comes.
package flock

import "errors"

// ErrHeld says that another process, or another part of this one, has the file.
var ErrHeld = errors.New("held by another process")
