package main

import (
	"context"

	"github.com/go-shipper/shipper/host/helper"
	"github.com/go-shipper/shipper/transport/bootstrap"
)

// findHelper gets the program that serves on a host: embedded, from a folder,
// or built.
func findHelper(ctx context.Context, goos, goarch string) (*bootstrap.Helper, error) {
	h, err := helper.Find(ctx, goos, goarch)
	if err != nil {
		return nil, err
	}
	return bootstrap.NewHelper(h.Bytes, goos, goarch), nil
}
