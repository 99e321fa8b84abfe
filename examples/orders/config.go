package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/go-shipper/shipper/service"
	"github.com/go-shipper/shipper/service/reload"
)

// configure reads the command line; a verb as install stops it.
func configure(args []string, env func(string) string) (*app, error) {
	a := &app{params: reload.NewParams(), drain: 10 * time.Second}
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	flags.StringVar(&a.listen, "listen", service.Address(), "address to listen on (also SHIPPER_LISTEN, PORT)")
	flags.StringVar(&a.control, "control", env("ORDERS_CONTROL"), "folder of the remote control (also ORDERS_CONTROL); empty: none")
	flags.DurationVar(&a.sync, "sync", time.Minute, "time between two looks at all orders, in the stable instance only")
	data := flags.String("data", env("ORDERS_DATA"), "file that keeps the orders (also ORDERS_DATA); empty: memory only")
	logTo := flags.String("log", env("ORDERS_LOG"), "file to append the log to (also ORDERS_LOG); empty: stderr")
	settings := flags.String("settings", env("ORDERS_SETTINGS"), "JSON file of log_level and max_connections (also ORDERS_SETTINGS)")
	show := flags.Bool("version", false, "print the version and end")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *show {
		fmt.Println(version, commit)
		os.Exit(0)
	}
	var err error
	if a.misbehaviour.faults, err = parseFaults(faults, env); err != nil {
		return nil, err
	}
	if a.store, err = openStore(*data); err != nil {
		return nil, err
	}
	a.slot = env("SHIPPER_SLOT")
	return a, a.openLog(*logTo, *settings)
}
