package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-shipper/shipper/host/rpc"
)

func rollback(ctx context.Context, c call) error {
	return ask(ctx, c, func(ctx context.Context, client *rpc.Client) error {
		undone, err := client.Rollback(ctx, rpc.Rollback{Service: c.args[0], By: person(), Override: strings.Join(c.args[1:], "")})
		if err != nil {
			return fmt.Errorf("roll back %s: %w", c.args[0], err)
		}
		_, err = fmt.Fprintf(c.out, "%s is back on %s in slot %s, after %d ms\n", c.args[0], undone.Release, undone.Slot, undone.Millis)
		return err
	})
}
