package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/problem"
)

func testApp() *cli.App {
	return (&program{}).app()
}

func TestArrange(t *testing.T) {
	for line, want := range map[string]string{
		"deploy":                        "deploy",
		"deploy -e prod --bundle x.zip": "-e prod deploy --bundle x.zip",
		"--bundle=x.zip --env=prod deploy --json": "--env=prod --json deploy --bundle=x.zip",
		"lock -m why acquire":                     "lock acquire -m why",
		"-c f lock acquire -e p -m -x":            "-c f -e p lock acquire -m -x",
		"completion bash":                         "completion -- bash",
		"completion --verbose -- -x":              "--verbose completion -- -x",
		"logs -n 5 -f --host web1":                "logs -n 5 -f --host web1",
		"help deploy":                             "deploy --help",
		"deploy -h --bundle x":                    "deploy --help",
		"--version":                               "version",
		"":                                        "",
	} {
		got, err := arrange(testApp(), append([]string{"shipper"}, strings.Fields(line)...))
		if err != nil || strings.Join(got[1:], " ") != want {
			t.Errorf("%s: %v, %v; want %s", line, got, err, want)
		}
	}
}

// TestFlagsAgree: a flag may stand before its verb, so all flags of a name
// must take a value, or none, and a global name must not be used again.
func TestFlagsAgree(t *testing.T) {
	for name, defs := range flagsOf(testApp()) {
		for _, k := range defs {
			if takesValue(k.flag) != takesValue(defs[0].flag) {
				t.Errorf("--%s takes a value for `%s`, but not for `%s`", name, k.verb, defs[0].verb)
			}
			if defs[0].verb == "" && k.verb != "" {
				t.Errorf("--%s of `%s` is a global flag", name, k.verb)
			}
		}
	}
}

func TestEveryVerbIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "CLI.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range testApp().Commands {
		if !strings.Contains(string(page), "| `"+c.Name+"` |") {
			t.Errorf("docs/CLI.md does not tell of `%s`", c.Name)
		}
	}
	for _, f := range globals() {
		if !strings.Contains(string(page), "`--"+f.Names()[0]) {
			t.Errorf("docs/CLI.md does not tell of --%s", f.Names()[0])
		}
	}
}

func FuzzArrange(f *testing.F) {
	f.Add("deploy --env prod -- x")
	f.Add("-e lock acquire -m")
	f.Add("- -- --= -=x help help")
	f.Fuzz(func(t *testing.T, line string) {
		got, err := arrange(testApp(), append([]string{"shipper"}, strings.Split(line, " ")...))
		if err != nil && problem.KindOf(err) != problem.Usage {
			t.Fatalf("%q: %v", line, err)
		}
		if err == nil && len(got) == 0 {
			t.Fatalf("%q: nothing", line)
		}
	})
}
