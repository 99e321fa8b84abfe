package config

import (
	"fmt"
	"os"
)

// CheckFiles looks whether the files of the controller's side that a build
// and a deploy need are there. Load does not: a rollback must work on a
// machine that has nothing but shipper.yaml.
func (t *Target) CheckFiles() error {
	var problems Problems
	d := &decoder{at: t.at, problems: &problems}
	for i, f := range t.Service.Files {
		d.regular(fmt.Sprintf("service.files[%d].from", i), f.From)
	}
	if t.Build.Goreleaser != "none" {
		d.regular("build.goreleaser", t.Build.Goreleaser)
	}
	d.folder("build.prebuilt", t.Build.Prebuilt)
	d.regular("transport.ca", t.Transport.CA)
	return problems.err(t.Path)
}

const mendPath = "paths are relative to the folder of shipper.yaml"

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
