package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/doctor"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
)

const guardService = "shipper-guard"

// errOther ends a guard that found another one at work.
var errOther = errors.New("another guard runs already")

func guard(_ context.Context, c call) error {
	err := scm.RunService(guardService, func(ctx context.Context, ready func()) error {
		for _, dir := range []string{c.layout().Data, c.layout().Guard()} {
			if err := acl.EnsureRoot(dir); err != nil {
				return err
			}
		}
		log, err := openLog(guardLog(c.layout()))
		if err != nil {
			return err
		}
		defer log.Close()
		return log.keep(runGuard(ctx, c, log.Logger, ready))
	})
	if errors.Is(err, errOther) {
		return nil
	}
	return err
}

func runGuard(ctx context.Context, c call, log *slog.Logger, ready func()) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	ctx, manager, done, err := manage(ctx, c)
	if err != nil {
		return err
	}
	defer done()
	g, err := host.NewGuard(host.Options{
		Layout: c.layout(), SCM: manager, Router: router.NewClient(c.layout().Router()),
		Executable: exe, Args: rootArgs(c.root), Version: ownVersion(), Log: log, Event: openEvents(),
		Ready: func() rpc.Readiness { return doctor.Ready(doctor.Host{}) },
	})
	if err != nil {
		return err
	}
	log.Info("guard starts", "version", ownVersion(), "pid", os.Getpid())
	ready()
	err = g.Run(ctx)
	log.Info("guard ends", "cause", context.Cause(ctx), "error", err)
	return err
}

// manage gives the host's service manager, and the guard's context with it.
func manage(ctx context.Context, c call) (context.Context, scm.Manager, func(), error) {
	if c.root != "" {
		return manageRoot(ctx, c)
	}
	m, err := systemManager()
	if err != nil {
		return nil, nil, nil, err
	}
	return ctx, m, func() { _ = m.Close() }, nil
}

// rootArgs lets the services that the guard makes find the same folders.
func rootArgs(root string) []string {
	if root == "" {
		return nil
	}
	return []string{"--root", root}
}
