package main

import (
	"context"
	"fmt"
	"runtime/debug"

	"github.com/go-shipper/shipper/host"
	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
)

// routerMemory is where the collector works harder; bytes.
const routerMemory = 512 << 20

// routerVerb is the service of one of the two routers, or what a person asks
// about them.
func routerVerb(ctx context.Context, c call) error {
	word := "a" // of the first version: it named none
	if len(c.args) > 0 {
		word = c.args[0]
	}
	switch word {
	case "a", "b":
		return serveRouter(c, word)
	case "status":
		return changeRouter(ctx, c, rpc.RouterLook)
	case rpc.RouterRestart, rpc.RouterUpgrade:
		return changeRouter(ctx, c, word)
	}
	return wrongUsage("router: want restart, upgrade or status, not %q", word)
}

func serveRouter(c call, name string) error {
	return scm.RunService("shipper-router-"+name, func(ctx context.Context, ready func()) error {
		log, err := openLog(routerLog(c.layout(), name))
		if err != nil {
			return err
		}
		defer log.Close()
		// Without it the other router cannot give us its sockets; it then serves on.
		if err := acl.ShareProcess(host.RouterAccounts()...); err != nil {
			log.Warn("no hand-over will work", "error", err)
		}
		// Many small requests leave much garbage and little that stays.
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(routerMemory)
		r := router.New(router.Options{Name: name, Dir: c.layout().Router(), Log: log.Logger})
		ready() // the guard asks by the control channel when it serves
		return log.keep(r.Run(ctx))
	})
}

func changeRouter(ctx context.Context, c call, do string) error {
	return ask(ctx, c, func(ctx context.Context, client *rpc.Client) error {
		st, err := client.ChangeRouter(ctx, rpc.ChangeRouter{Do: do, By: person()})
		if err != nil {
			return fmt.Errorf("%s the router: %w", do, err)
		}
		return printRouter(c, do, st)
	})
}

func printRouter(c call, do string, st rpc.RouterState) error {
	version := st.Version
	if version == "" {
		version = "of an unknown version"
	}
	text := fmt.Sprintf("%s serves (process %d), helper %s %s\n", st.Service, st.PID, st.Helper.Short(), version)
	if st.Finishing {
		text += "the router before it finishes its requests\n"
	}
	if do == rpc.RouterUpgrade && !st.Changed {
		text += "no newer helper is on this host: nothing was changed\n"
	}
	_, err := fmt.Fprint(c.out, text)
	return err
}
