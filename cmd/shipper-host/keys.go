package main

import (
	"context"
	"fmt"

	"github.com/go-shipper/shipper/host/rpc"
)

// forgetKeys lets the next deploy decide anew which keys the host trusts.
func forgetKeys(ctx context.Context, c call) error {
	return ask(ctx, c, func(ctx context.Context, client *rpc.Client) error {
		p := rpc.ForgetKeys{Service: c.args[0], By: person()}
		if err := client.ForgetKeys(ctx, p); err != nil {
			return fmt.Errorf("forget the keys of %s: %w", p.Service, err)
		}
		_, err := fmt.Fprintf(c.out, "%s trusts no keys now: the next deploy brings those of its configuration\n", p.Service)
		return err
	})
}
