package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/problem"
)

// startGuard starts the guard's service, or with --root its process.
func startGuard(ctx context.Context, c call, install bool) error {
	if c.root != "" {
		return spawnGuard(c, install)
	}
	m, err := systemManager()
	if err != nil {
		return err
	}
	defer m.Close()
	st, err := m.Status(ctx, guardService)
	if err != nil {
		return err
	}
	if st.State == scm.Absent {
		if !install {
			return notInstalled(scm.ErrNotFound)
		}
		if err := installGuard(ctx, m, c.layout()); err != nil {
			return err
		}
	}
	return m.Start(ctx, guardService)
}

func notInstalled(err error) error {
	return problem.Wrap(problem.Failed, err, "find the guard", "deploy a service to this host first: that installs the guard")
}

// installGuard makes this executable the guard. An installed one is never
// replaced here: other services rely on it.
func installGuard(ctx context.Context, m scm.Manager, l host.Layout) error {
	for _, dir := range []string{l.Programs, l.Data} {
		if err := acl.EnsureRoot(dir); err != nil {
			return err
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	if err := stableCopy(exe, filepath.Join(l.Programs, "bin")); err != nil {
		return fmt.Errorf("copy for the console: %w", err)
	}
	return m.Ensure(ctx, scm.Spec{
		Name: guardService, DisplayName: "shipper guard",
		Description: "Looks after the services that shipper releases: takes them back when a release goes wrong or its controller is lost.",
		Executable:  exe, Args: []string{"guard"}, Start: scm.Auto,
		Recovery: []time.Duration{time.Second, 5 * time.Second, 30 * time.Second}, ResetPeriod: time.Hour,
		StopTimeout: time.Minute, PreshutdownTimeout: time.Minute,
	})
}

// stableCopy is the program that people find: bin\shipper-host.exe. No
// service runs it, so that it can be replaced at any time.
func stableCopy(exe, bin string) error {
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return err
	}
	to := filepath.Join(bin, "shipper-host"+filepath.Ext(exe))
	if to == exe {
		return nil
	}
	in, err := os.Open(exe)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp, err := os.OpenFile(to+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already if all went well
	_, err = io.Copy(tmp, in)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return acl.Replace(tmp.Name(), to)
}
