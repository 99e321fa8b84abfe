package main

import (
	"cmp"
	"os"
	"os/user"
)

// address says from where this runs: the CI job, where there is one.
func address() string {
	server, repository, run := os.Getenv("GITHUB_SERVER_URL"), os.Getenv("GITHUB_REPOSITORY"), os.Getenv("GITHUB_RUN_ID")
	if server == "" || repository == "" || run == "" {
		return ""
	}
	return server + "/" + repository + "/actions/runs/" + run
}

// owner says who runs this, for locks and journals.
func owner() string {
	name := cmp.Or(os.Getenv("USER"), os.Getenv("USERNAME"))
	if known, err := user.Current(); name == "" && err == nil { // cron and containers set neither
		name = known.Username
	}
	machine, err := os.Hostname()
	if err != nil {
		machine = "unknown"
	}
	return name + "@" + machine
}
