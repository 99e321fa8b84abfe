package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/problem"
)

const (
	// connectTimeout bounds the way to a guard that must be started first.
	connectTimeout = time.Minute
	redialEvery    = 50 * time.Millisecond
	// callTimeout bounds a break-glass verb; a rollback may start a cold slot.
	callTimeout = 5 * time.Minute
)

// dial connects to the guard. One that does not answer is started, and
// installed before if install says so; one that is installed, of whatever
// version, is used as it is.
func dial(ctx context.Context, c call, install bool) (net.Conn, error) {
	conn, err := host.DialGuardAs(ctx, c.layout(), caller())
	if err == nil {
		return conn, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, problem.Wrap(problem.Failed, err, "reach the guard", "run this as an administrator")
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := startGuard(ctx, c, install); err != nil {
		return nil, err
	}
	for {
		if conn, err = host.DialGuardAs(ctx, c.layout(), caller()); err == nil {
			return conn, nil
		}
		select {
		case <-time.After(redialEvery):
		case <-ctx.Done():
			return nil, problem.Wrap(problem.Failed, err, "reach the guard", "look into "+guardLog(c.layout()))
		}
	}
}

// caller is who we are, and where our logon came from if that is known: sshd
// tells its sessions, Windows Remote Management does not.
func caller() host.Caller {
	from, _, _ := strings.Cut(os.Getenv("SSH_CLIENT"), " ")
	return host.Caller{Account: account(), Address: from}
}

// ask runs one call of a break-glass verb.
func ask(ctx context.Context, c call, f func(context.Context, *rpc.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	conn, err := dial(ctx, c, false)
	if err != nil {
		return err
	}
	client, _, err := rpc.Dial(ctx, conn, rpc.Hello{Protocol: rpc.Protocol, Version: ownVersion()})
	if err != nil {
		return fmt.Errorf("talk to the guard: %w", err)
	}
	defer client.Close()
	return f(ctx, client)
}
