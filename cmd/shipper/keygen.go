package main

import (
	"os"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

// defaultKey is where keygen writes when nobody says otherwise.
const defaultKey = "release.key"

func (p *program) keygenCommand() *cli.Command {
	return &cli.Command{
		Name:      "keygen",
		Usage:     "make a key that vouches for bundles: FILE and FILE.pub; overwrites nothing",
		ArgsUsage: "[FILE]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "type", Value: packaging.Ed25519, Usage: "ed25519 or ecdsa (P-256): `KIND`"},
			&cli.StringFlag{Name: "passphrase", Usage: "encrypt the private key: a reference, `${env:NAME}` or ${file:PATH}"},
		},
		Action: p.does("keygen", p.keygen),
	}
}

func (p *program) keygen(c *cli.Context) (pipeline.Result, error) {
	path := c.Args().First()
	if path == "" {
		path = defaultKey
	}
	if c.Args().Len() > 1 {
		return pipeline.Result{}, problem.New(problem.Usage, "name one file", "keygen takes one argument")
	}
	passphrase := ""
	if ref := c.String("passphrase"); ref != "" {
		if !config.IsRef(ref) {
			return pipeline.Result{}, problem.New(problem.Usage, "write --passphrase '${env:NAME}'; others can read a command line", "--passphrase: not a reference")
		}
		var err error
		if passphrase, err = config.Resolve(ref, os.LookupEnv, os.ReadFile); err != nil {
			return pipeline.Result{}, problem.Wrap(problem.Usage, err, "read --passphrase", "set the variable, or write the file")
		}
	}
	key, err := packaging.Keygen(path, c.String("type"), passphrase)
	if err == nil {
		p.told.answer(journal.TypeKey, "", journal.Key{ID: key.ID, Private: path, Public: path + ".pub"})
	}
	return pipeline.Result{}, err
}
