package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
)

//go:embed init.yaml.tmpl
var initTemplate string

func (p *program) initCommand() *cli.Command {
	return &cli.Command{
		Name:   "init",
		Usage:  "write a shipper.yaml with comments for the Go module in this folder",
		Action: p.does("init", p.init),
	}
}

// starter is what init finds out about a module.
type starter struct {
	Name       string
	Package    string
	Goreleaser bool
}

func (p *program) init(c *cli.Context) (pipeline.Result, error) {
	file := c.String("config")
	s, err := startFrom(filepath.Dir(file))
	if err != nil {
		return pipeline.Result{}, err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return pipeline.Result{}, problem.New(problem.Usage, "`shipper validate` checks it; name another file with --config", "init: %s is there already", file)
	}
	if err != nil {
		return pipeline.Result{}, problem.Wrap(problem.Failed, err, "init", "")
	}
	tmpl := template.Must(template.New("init").Delims("<<", ">>").Parse(initTemplate))
	if err := errors.Join(tmpl.Execute(out, s), out.Close()); err != nil {
		return pipeline.Result{}, problem.Wrap(problem.Failed, err, "init", "")
	}
	return pipeline.Result{}, p.print(fmt.Sprintf("wrote %s: name your hosts in it, then run `shipper validate`\n", file))
}

var modulePath = regexp.MustCompile(`(?m)^module\s+"?([^\s"]+)`)

// startFrom reads the name of the module and finds its main package.
func startFrom(dir string) (starter, error) {
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return starter{}, problem.Wrap(problem.Usage, err, "init", "run it in the folder of a Go module")
	}
	m := modulePath.FindSubmatch(mod)
	if m == nil {
		return starter{}, problem.New(problem.Usage, "run it in the folder of a Go module", "init: go.mod names no module")
	}
	s := starter{Name: serviceName(string(m[1])), Package: mainPackage(dir)}
	for _, name := range []string{".goreleaser.yaml", ".goreleaser.yml"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			s.Goreleaser = true
		}
	}
	return s, nil
}

var (
	majorVersion = regexp.MustCompile(`^v[0-9]+$`)
	notInName    = regexp.MustCompile(`[^A-Za-z0-9._-]+`)
)

// serviceName is the last word of a module's path that is not its version.
func serviceName(module string) string {
	name := path.Base(module)
	if majorVersion.MatchString(name) {
		name = path.Base(path.Dir(module))
	}
	name = strings.Trim(notInName.ReplaceAllString(name, "-"), ".-")
	if name == "" {
		return "service"
	}
	return name[:min(len(name), 80)]
}

// mainPackage is "." or the only command below cmd/.
func mainPackage(dir string) string {
	if _, err := os.Stat(filepath.Join(dir, "main.go")); err == nil {
		return "."
	}
	found, err := filepath.Glob(filepath.Join(dir, "cmd", "*", "main.go"))
	if err != nil || len(found) != 1 {
		return "."
	}
	return "./cmd/" + filepath.Base(filepath.Dir(found[0]))
}
