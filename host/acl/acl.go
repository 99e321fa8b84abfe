// Package acl keeps shipper's folders and files from everybody else on the
// host: SYSTEM and Administrators only, plus what is granted to a slot's
// account. Elsewhere than on Windows the owner's mode bits do the same.
package acl

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/host/scm/wine"
)

// Access is what an account may do.
type Access int

// Read includes to execute; Modify includes to write, create and delete.
const (
	Read Access = iota
	Modify
)

// ErrForeign says that a path is a link or somebody else's: nothing may be
// trusted to lie there.
var ErrForeign = errors.New("not owned by the system or its administrators")

// EnsureRoot creates path (its parent must exist or be creatable) for SYSTEM
// and Administrators only, or protects it again if it exists. A root, parent
// or direct child that is a reparse point, and a root or child that somebody
// else owns, is refused with ErrForeign. tenants are accounts that were granted
// to write there: what lies in the folder may be theirs.
func EnsureRoot(path string, tenants ...string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("protect folder: %w", err)
	}
	if err := ensureRoot(path); err != nil {
		return fmt.Errorf("protect folder %s: %w", path, err)
	}
	return checkChildren(path, tenants)
}

// Grant adds account's access to the folder or file, inherited by what lies
// below. Elsewhere than on Windows slots run as the guard's user, and it does
// nothing.
func Grant(path, account string, a Access) error {
	if err := grant(path, account, a); err != nil {
		return fmt.Errorf("grant %s access to %s: %w", account, path, err)
	}
	return nil
}

// WriteProtected replaces the file at path by data, atomically and flushed,
// readable by SYSTEM, Administrators and account ("" for nobody else). The
// protection is there before the data.
func WriteProtected(path string, data []byte, account string) error {
	temp := fmt.Sprintf("%s.%d.tmp", path, time.Now().UnixNano())
	defer os.Remove(temp) // gone already if all went well
	f, err := createProtected(temp, account)
	if err != nil {
		return fmt.Errorf("write protected file %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write protected file %s: %w", path, err)
	}
	return Replace(temp, path)
}

// Replace renames from to to, over an older one. On Windows it waits a moment
// for scanners and backups that hold the file.
func Replace(from, to string) error {
	if err := replace(from, to); err != nil {
		return fmt.Errorf("replace file: %w", err)
	}
	return nil
}

// RemoveAll is os.RemoveAll. On Windows it waits a moment for scanners, and for
// programs that just ended; and it works on Wine too, which lacks the call that
// Go deletes with there.
func RemoveAll(path string) error {
	if !wine.Detected() {
		return removeAll(path)
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var failed error
	if err == nil && info.IsDir() { // of a link only the link goes
		entries, err := os.ReadDir(path)
		failed = err
		for _, e := range entries {
			failed = errors.Join(failed, RemoveAll(filepath.Join(path, e.Name())))
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(failed, err)
	}
	return nil
}

func checkChildren(root string, tenants []string) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("check folder: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(root, e.Name())
		if err := check(path, tenants); err != nil {
			return fmt.Errorf("check %s: %w", path, err)
		}
	}
	return nil
}

// ShareProcess lets accounts put handles, of sockets for example, into this
// process. Elsewhere than on Windows processes of one user may do so anyway.
func ShareProcess(accounts ...string) error {
	if err := shareProcess(accounts); err != nil {
		return fmt.Errorf("share this process: %w", err)
	}
	return nil
}
