package config

import (
	"strings"
	"testing"
)

func TestHooksOnHostsAreChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ hook, want string }{
		{"{on: [beforeStart], host: {command: [tools/migrate.exe, up], env: {MODE: 1}}}", ""},
		{"{on: [promoted], host: {command: [migrate.exe]}}", "no program of the release runs on hosts at promoted"},
		{"{on: [beforeStart], host: {command: []}}", "command` is missing"},
		{"{on: [beforeStart], host: {command: ['..\\other.exe']}}", "hooks[0].host.command"},
		{"{on: [beforeStart], host: {command: [/bin/sh]}}", "hooks[0].host.command"},
		{"{on: [beforeStart], host: {command: [m.exe, '${env:TOKEN}']}}", "does not belong into arguments"},
		{"{on: [beforeStart], host: {command: [m.exe], env: {A: '${env:TOKEN}'}}}", "does not belong into plain variables"},
		{"{on: [beforeStart], host: {command: [m.exe], timeout: 1h}}", "is not between 0 and 10m"},
		{"{on: [beforeStart], host: {command: [m.exe]}, exec: {command: [m]}}", "exactly one of exec, web, host"},
	} {
		f, err := Parse("shipper.yaml", []byte("service: {name: orders}\ntraffic: {listen: ':8080'}\nhooks: ["+c.hook+"]\nenvironments: {test: {hosts: [web1], transport: {type: local}}}\n"))
		if err == nil {
			_, err = f.Target("test")
		}
		if got := ""; err != nil {
			if got = err.Error(); c.want == "" || !strings.Contains(got, c.want) {
				t.Errorf("%s: %s", c.hook, got)
			}
		} else if c.want != "" {
			t.Errorf("%s is accepted", c.hook)
		}
	}
}
