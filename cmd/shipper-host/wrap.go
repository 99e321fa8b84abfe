package main

import (
	"context"

	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/wrapper"
)

// wrap ends with the program's exit code: the service manager takes anything
// but 0 as a failure. The service's name is not needed in a process of its own.
func wrap(_ context.Context, c call) error {
	return scm.RunService("shipper-wrap", func(ctx context.Context, ready func()) error {
		config, err := wrapper.Load(c.config)
		if err != nil {
			return err
		}
		exit, err := wrapper.Run(ctx, config, ready)
		if err != nil {
			return &scm.ExitError{Code: exit, Err: err}
		}
		return nil
	})
}
