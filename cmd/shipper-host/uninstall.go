package main

import (
	"context"
	"fmt"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/scm"
)

// uninstall takes the guard and all folders off a host without services. On
// Windows this program's own folder stays, because it runs: it is printed.
func uninstall(ctx context.Context, c call) error {
	var m scm.Manager // none with --root: that guard ends with its folder
	if c.root == "" {
		system, err := systemManager()
		if err != nil {
			return err
		}
		defer system.Close()
		m = system
	}
	left, err := host.Uninstall(ctx, c.layout(), m, guardService)
	if err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	if c.root == "" {
		if err := removeEvents(); err != nil {
			return fmt.Errorf("remove the event source: %w", err)
		}
	}
	if left != "" {
		_, err = fmt.Fprintln(c.out, left)
	}
	return err
}
