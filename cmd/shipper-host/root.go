package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/flock"
	"github.com/go-shipper/shipper/host/scm"
)

// With --root the guard is a plain process, and so are its services: they
// live as long as the folder does.

// rootWatch is how often the guard looks whether its folder is still there.
const rootWatch = 500 * time.Millisecond

var errRootGone = errors.New("the root folder is gone")

// manageRoot boots the services defined in the folder, as a machine does.
func manageRoot(ctx context.Context, c call) (context.Context, scm.Manager, func(), error) {
	lock, err := flock.Take(filepath.Join(c.layout().Guard(), "lock"))
	if errors.Is(err, flock.ErrHeld) {
		return nil, nil, nil, errOther
	}
	if err != nil {
		return nil, nil, nil, err
	}
	m, err := scm.NewProcesses(scm.ProcessOptions{Dir: filepath.Join(c.layout().Guard(), "services")})
	if err != nil {
		lock.Close()
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go watchRoot(ctx, lock.File, cancel)
	_ = m.Boot(ctx) // what did not start is seen by its status
	return ctx, m, func() { cancel(nil); _ = m.Close(); lock.Close() }, nil
}

// watchRoot ends the guard when its lock file is no longer the one in the folder.
func watchRoot(ctx context.Context, lock *os.File, cancel context.CancelCauseFunc) {
	for tick := time.NewTicker(rootWatch); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
			if !sameFile(lock) {
				cancel(errRootGone)
			}
		}
	}
}

func sameFile(f *os.File) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.Name())
	return err == nil && os.SameFile(held, named)
}

// spawnGuard starts a guard of its own session, that outlives us. Of several
// at once all but one end at the lock.
func spawnGuard(c call, install bool) error {
	if _, err := os.Stat(c.layout().Guard()); err != nil && !install {
		return notInstalled(err)
	}
	if err := acl.EnsureRoot(c.root); err != nil {
		return err
	}
	root, err := filepath.Abs(c.root)
	if err != nil {
		return fmt.Errorf("find root folder: %w", err)
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	cmd := exec.Command(exe, "guard", "--root", root)
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start guard: %w", err)
	}
	return cmd.Process.Release()
}
