package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) validateCommand() *cli.Command {
	return &cli.Command{
		Name:  "validate",
		Usage: "check shipper.yaml for all environments; touches no host, resolves no secret",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "schema", Usage: "print the JSON schema of shipper.yaml instead"},
		},
		Action: p.does("validate", p.validate),
	}
}

func (p *program) validate(c *cli.Context) (pipeline.Result, error) {
	if c.Bool("schema") {
		return pipeline.Result{}, p.print(string(config.Schema()))
	}
	file, err := config.Load(c.String("config"))
	if err != nil {
		return pipeline.Result{}, err
	}
	names := file.Names()
	if env := c.String("env"); env != "" {
		names = []string{env}
	}
	for _, name := range names {
		target, err := file.Target(name)
		if err == nil {
			err = target.CheckFiles()
		}
		if err != nil {
			return pipeline.Result{}, err
		}
		p.told.answer(journal.TypeChecked, "", checked(target))
	}
	return pipeline.Result{}, nil
}

// print writes text that was asked for.
func (p *program) print(text string) error {
	_, err := io.WriteString(p.asked(), text)
	return err
}

func checked(t config.Target) journal.Checked {
	out := journal.Checked{
		Environment: t.Environment, Service: t.Service.Name, Listen: t.Traffic.Listen,
		Strategy: t.Rollout.Strategy, Transport: reached(t.Transport),
	}
	for _, h := range t.Hosts {
		out.Hosts = append(out.Hosts, h.Name)
	}
	for _, s := range t.Rollout.Steps {
		out.Steps = append(out.Steps, s.String())
	}
	return out
}

func reached(t config.Transport) string {
	if t.Type == "local" {
		return "local"
	}
	if t.Type == "ssh" {
		return fmt.Sprintf("ssh, port %d", t.Port)
	}
	scheme := "http, sealed"
	if t.HTTPS {
		scheme = "https"
	}
	return fmt.Sprintf("%s %s over %s, port %d", t.Type, t.Auth, scheme, t.Port)
}
