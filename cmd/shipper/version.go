package main

import (
	"fmt"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
)

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name:   "version",
		Usage:  "the version of shipper, and what it was built from",
		Action: p.does("version", p.version),
	}
}

func (p *program) version(*cli.Context) (pipeline.Result, error) {
	v := own()
	if p.told.json {
		p.told.record(journal.TypeVersion, "", v)
		return pipeline.Result{}, nil
	}
	_, err := fmt.Fprintf(p.stdout, "shipper %s\ncommit  %s\ngo      %s %s\n", v.Version, orUnknown(v.Commit), v.Go, v.Platform)
	return pipeline.Result{}, err
}

// own reads what the Go toolchain wrote into this executable.
func own() journal.Program {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return programOf(info)
}

func programOf(info *debug.BuildInfo) journal.Program {
	built := map[string]string{}
	for _, s := range info.Settings {
		built[s.Key] = s.Value
	}
	p := journal.Program{
		Version: strings.TrimPrefix(info.Main.Version, "v"), Commit: built["vcs.revision"],
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if untagged(info.Main.Version) {
		p.Version = fromCommit(built["vcs.time"], p.Commit)
	}
	if built["vcs.modified"] == "true" && !strings.Contains(p.Version, "+") {
		p.Version += "+dirty"
	}
	return p
}

// pseudo matches the versions that Go makes up for commits without a tag.
var pseudo = regexp.MustCompile(`[0-9]{14}-[0-9a-f]{12}(\+|$)`)

func untagged(version string) bool {
	return version == "" || version == "(devel)" || pseudo.MatchString(version)
}

// fromCommit is the version of a commit without a tag.
func fromCommit(at, commit string) string {
	when, err := time.Parse(time.RFC3339, at)
	if err != nil || len(commit) < 7 {
		return "0.0.0-unknown"
	}
	return "0.0.0-" + when.UTC().Format("20060102150405") + "." + commit[:7]
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
