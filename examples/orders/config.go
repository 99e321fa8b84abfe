package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-shipper/shipper/service"
)

// config is the command line; most of it may also come by the environment.
type config struct {
	listen, data, log, settings, control  string
	issuer, cert, key, consulToken, lease string
	sync                                  time.Duration
	faults                                faultSettings
}

// parseConfig stops at a verb as install.
func parseConfig(args []string, env func(string) string) (config, error) {
	var c config
	flags := flag.NewFlagSet("orders", flag.ContinueOnError)
	flags.StringVar(&c.listen, "listen", service.Address(), "address to listen on (also SHIPPER_LISTEN, PORT)")
	flags.StringVar(&c.data, "data", env("ORDERS_DATA"), "file that keeps the orders (also ORDERS_DATA); empty: memory only")
	flags.StringVar(&c.log, "log", env("ORDERS_LOG"), "file to append the log to, with crash reports beside it (also ORDERS_LOG); empty: stderr, no reports")
	flags.StringVar(&c.settings, "settings", env("ORDERS_SETTINGS"), "JSON file of log_level, max_connections and max_rate, followed (also ORDERS_SETTINGS)")
	flags.StringVar(&c.control, "control", env("ORDERS_CONTROL"), "folder of the remote control (also ORDERS_CONTROL); empty: none")
	flags.StringVar(&c.issuer, "issuer", env("ORDERS_ISSUER"), "URL of the issuer of tokens that orders asks for (also ORDERS_ISSUER); empty: asks for none")
	flags.StringVar(&c.cert, "cert", env("ORDERS_CERT"), "PEM file of the certificate (also ORDERS_CERT); empty: no TLS")
	flags.StringVar(&c.key, "key", env("ORDERS_KEY"), "PEM file of its key (also ORDERS_KEY)")
	flags.StringVar(&c.consulToken, "consul-token", "env:CONSUL_HTTP_TOKEN", "where the token for Consul is: env:NAME, file:PATH, shipper:NAME, vault:PATH#KEY")
	flags.StringVar(&c.lease, "lease", env("ORDERS_LEASE"), "path of database credentials in the Vault of VAULT_ADDR, as database/creds/orders (also ORDERS_LEASE); empty: none")
	flags.DurationVar(&c.sync, "sync", time.Minute, "time between two looks at all orders, in the stable instance only")
	show := flags.Bool("version", false, "print the version and end")
	flags.SetOutput(io.Discard)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(os.Stdout)
		fmt.Println("usage: orders [FLAGS], or orders install|uninstall|start|stop|restart|status|control …")
		flags.PrintDefaults()
		os.Exit(0)
	case err != nil:
		return c, fmt.Errorf("%w (orders -h lists the flags)", err)
	case flags.NArg() > 0 && !service.IsVerb(args):
		return c, fmt.Errorf("what is %q? A verb comes first, before all flags (orders -h lists them)", flags.Arg(0))
	}
	if *show {
		fmt.Println(version, commit)
		os.Exit(0)
	}
	var err error
	c.faults, err = parseFaults(faults, env)
	return c, err
}
