package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/go-shipper/shipper/release"
)

// CheckFiles looks whether the files of the controller's side that a build
// and a deploy need are there. Load does not: a rollback must work on a
// machine that has nothing but shipper.yaml.
func (t *Target) CheckFiles() error {
	var problems Problems
	d := &decoder{at: t.at, problems: &problems}
	for i, f := range t.Service.Files {
		at := fmt.Sprintf("service.files[%d].from", i)
		if d.regular(at, f.From); !f.Rendered() {
			continue
		}
		if _, err := t.Render(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.problem(at, hintOf(err), "`%s`: %v", at, err)
		}
	}
	if t.Build.Goreleaser != "none" {
		d.regular("build.goreleaser", t.Build.Goreleaser)
	}
	d.folder("build.prebuilt", t.Build.Prebuilt)
	d.regular("transport.ca", t.Transport.CA)
	d.regular("transport.ssh.knownHosts", t.Transport.SSH.KnownHosts)
	if !IsRef(t.Transport.SSH.Key) {
		d.regular("transport.ssh.key", t.Transport.SSH.Key)
	}
	for i, f := range t.Bootstrap.Helper.Files {
		d.regular(t.helperAt(i), f.Path)
	}
	d.signFiles(t)
	return problems.err(t.Path)
}

// helperAt is where the file stands that a single one or a list names.
func (t *Target) helperAt(i int) string {
	if _, list := t.at.places["bootstrap.helper[0]"]; list {
		return fmt.Sprintf("bootstrap.helper[%d]", i)
	}
	return "bootstrap.helper"
}

const mendPath = "paths are relative to the folder of shipper.yaml"

// template refuses words that no host could fill in.
func (d *decoder) template(path, text string, more ...string) {
	if err := release.CheckTemplate(text, more...); err != nil {
		d.problem(path, wordsHint(more), "`%s`: %v", path, err)
	}
}

func (d *decoder) regular(path, file string) {
	if file == "" {
		return
	}
	if info, err := os.Stat(file); err != nil {
		d.problem(path, mendPath, "`%s`: %s", path, reason(file, err))
	} else if !info.Mode().IsRegular() {
		d.problem(path, "name each file", "`%s`: %s is no file", path, file)
	}
}

func (d *decoder) folder(path, dir string) {
	if dir == "" {
		return
	}
	if info, err := os.Stat(dir); err != nil {
		d.problem(path, mendPath, "`%s`: %s", path, reason(dir, err))
	} else if !info.IsDir() {
		d.problem(path, mendPath, "`%s`: %s is no folder", path, dir)
	}
}

func reason(file string, err error) string {
	if os.IsNotExist(err) {
		return file + " does not exist"
	}
	return err.Error()
}
