package main

import (
	"context"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/scm"
)

func routerService(_ context.Context, c call) error {
	return scm.RunService("shipper-router", func(ctx context.Context, ready func()) error {
		log, err := openLog(routerLog(c.layout()))
		if err != nil {
			return err
		}
		defer log.Close()
		r := router.New(router.Options{Dir: c.layout().Router(), Log: log.Logger})
		ready() // the guard asks by the control channel when it serves
		return log.keep(r.Run(ctx))
	})
}
