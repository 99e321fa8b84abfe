package main

import (
	"errors"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/release/attest"
)

func (p *program) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "check a bundle: every byte, who signed it, its executables",
		ArgsUsage: "BUNDLE",
		Flags: []cli.Flag{
			keyFlag(),
		},
		Action: p.does("verify", p.verify),
	}
}

func keyFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "key", Usage: "public key `FILE` that must have signed it; default: trust.keys of shipper.yaml"}
}

func (p *program) verify(c *cli.Context) (pipeline.Result, error) {
	bundle, found, err := inspected(c)
	if err != nil {
		return pipeline.Result{}, err
	}
	p.told.answer(journal.TypeVerified, "", verified(bundle, found))
	return pipeline.Result{Release: packaging.Release(found.Manifest)}, nil
}

// inspected is the one bundle that the command line names, verified.
func inspected(c *cli.Context) (string, packaging.Findings, error) {
	if c.Args().Len() != 1 {
		return "", packaging.Findings{}, problem.New(problem.Usage, "`shipper "+c.Command.Name+" FILE.zip`", "%s takes one bundle", c.Command.Name)
	}
	keys, err := trustedKeys(c)
	if err != nil {
		return "", packaging.Findings{}, err
	}
	bundle := c.Args().First()
	found, err := packaging.Inspect(c.Context, bundle, keys)
	return bundle, found, err
}

// trustedKeys are those of the command line, else those of the configuration,
// if there is one: of the environment that is named, or of all.
func trustedKeys(c *cli.Context) ([]attest.Key, error) {
	paths := c.StringSlice("key")
	if len(paths) > 0 {
		return packaging.PublicKeys(paths)
	}
	if _, err := os.Stat(c.String("config")); errors.Is(err, os.ErrNotExist) && !c.IsSet("config") {
		return nil, nil
	}
	file, err := config.Load(c.String("config"))
	if err != nil {
		return nil, err
	}
	names := file.Names()
	if c.String("env") != "" {
		names = []string{c.String("env")}
	}
	for _, name := range names {
		target, err := file.Target(name)
		if err != nil {
			return nil, err
		}
		paths = append(paths, target.Trust.Keys...)
	}
	slices.Sort(paths)
	return packaging.PublicKeys(slices.Compact(paths))
}

func verified(bundle string, f packaging.Findings) journal.Verified {
	m := f.Manifest
	v := journal.Verified{
		Bundle: bundle, Service: m.Name, Release: packaging.Release(m), Commit: m.Commit, Builder: m.Builder,
		Toolchain: m.Toolchain, Key: f.Key, Trusted: f.Trusted, Beside: f.Beside,
	}
	for _, t := range m.Targets {
		one := journal.VerifiedTarget{
			Target: t.Name(), Executable: t.Executable, Unsigned: t.Unsigned, Signer: f.Signers[t.Name()], Files: len(t.Files), SBOM: t.SBOM != nil,
		}
		for _, file := range t.Files {
			if file.Path == t.Executable {
				one.SHA256 = file.SHA256
			}
		}
		v.Targets = append(v.Targets, one)
	}
	return v
}
