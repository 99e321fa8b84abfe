package main

import (
	"context"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/helper"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/transport/bootstrap"
)

// helperFinder gets the program that serves on a host: one that the
// configuration names, or embedded, from a folder, or built.
func helperFinder(c config.HelperChoice) pipeline.Finder {
	return func(ctx context.Context, goos, goarch string) (*bootstrap.Helper, error) {
		h, err := helperFor(ctx, c, goos, goarch)
		if err != nil {
			return nil, err
		}
		return bootstrap.NewHelper(h.Bytes, goos, goarch), nil
	}
}

func helperFor(ctx context.Context, c config.HelperChoice, goos, goarch string) (helper.Helper, error) {
	var given []helper.Given
	for _, f := range c.Files {
		given = append(given, helper.Given{Path: f.Path, SHA256: f.SHA256})
	}
	if len(given) > 0 && goos == "windows" {
		return helper.FindGiven(given, goarch)
	}
	return helper.Find(ctx, goos, goarch)
}
