package main

import (
	"context"
	"fmt"

	"github.com/go-shipper/shipper/host/rpc"
)

func freeze(ctx context.Context, c call) error {
	f := rpc.Freeze{Service: c.args[0], By: person()}
	if len(c.args) > 1 {
		f.Message = c.args[1]
	}
	return setFreeze(ctx, c, f, "frozen: new releases are refused until `shipper-host thaw "+f.Service+"`")
}

func setFreeze(ctx context.Context, c call, f rpc.Freeze, told string) error {
	return ask(ctx, c, func(ctx context.Context, client *rpc.Client) error {
		if err := client.Freeze(ctx, f); err != nil {
			return fmt.Errorf("freeze or thaw %s: %w", f.Service, err)
		}
		_, err := fmt.Fprintf(c.out, "%s is %s\n", f.Service, told)
		return err
	})
}
