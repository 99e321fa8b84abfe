package main

import (
	"context"

	"github.com/go-shipper/shipper/host/rpc"
)

func thaw(ctx context.Context, c call) error {
	return setFreeze(ctx, c, rpc.Freeze{Service: c.args[0], By: person(), Thaw: true}, "thawed: releases are allowed again")
}
