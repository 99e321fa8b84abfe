package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/packaging/shelf"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/release"
)

// verbs is what the command line asks of a pipeline.
type verbs interface {
	Build(ctx context.Context, dir, out string) (bundle string, r release.Release, err error)
	Publish(ctx context.Context, bundle string) error
	Plan(ctx context.Context, req pipeline.DeployRequest) (pipeline.Planned, error)
	Deploy(ctx context.Context, req pipeline.DeployRequest) (pipeline.Result, error)
	Rollback(ctx context.Context, req pipeline.RollbackRequest) (pipeline.Result, error)
	CheckRollback(ctx context.Context) (pipeline.Result, map[string]journal.WayBack, error)
	Sync(ctx context.Context, req pipeline.DeployRequest) (pipeline.Result, error)
	Status(ctx context.Context) (pipeline.FleetStatus, error)
	Examine(ctx context.Context) (pipeline.FleetStatus, error)
	Watch(ctx context.Context) (pipeline.Result, error)
	Replay(ctx context.Context, run string) ([]journal.Replayed, error)
	History(ctx context.Context) ([]pipeline.HistoryEntry, error)
	Ask(ctx context.Context, kind string) (pipeline.Result, error)
	Resume(ctx context.Context, kind string) (pipeline.Result, error)
	Story(ctx context.Context, run string) ([]journal.Record, error)
	Retry(ctx context.Context, run string, req pipeline.DeployRequest) (pipeline.Result, error)
	LockStatus(ctx context.Context) ([]pipeline.HostStatus, error)
	LockAcquire(ctx context.Context, message string) error
	LockRelease(ctx context.Context) error
	Logs(ctx context.Context, w io.Writer, req pipeline.LogsRequest) error
	Prune(ctx context.Context, dryRun bool) (map[string]rpc.PruneReply, error)
	Remove(ctx context.Context) error
	Doctor(ctx context.Context, need int64, found func(pipeline.Examined)) error
}

// pipeline prepares the run for the environment that the flags name; nothing
// is connected yet.
func (p *program) pipeline(c *cli.Context) (verbs, error) {
	file, err := config.Load(c.String("config"))
	if err != nil {
		return nil, err
	}
	env := c.String("env")
	if names := file.Names(); env == "" && p.verb == "build" && len(names) > 0 {
		env = names[0] // a build is the same for all of them
	}
	if p.target, err = file.Target(env); err != nil {
		return nil, err
	}
	if c.IsSet("unreachable") {
		if p.target.Rollout.Unreachable, err = unreachable(c.String("unreachable")); err != nil {
			return nil, err
		}
	}
	if p.alpha > 0 {
		p.target.Analysis.Alpha = p.alpha
	}
	p.told.expect(p.target.Hosts)
	run := p.over(p.target)
	run.Change = strings.TrimSpace(c.String("change"))
	if before := p.target.Requires.Environment; before != "" {
		target, err := file.Target(before)
		if err != nil {
			return nil, err
		}
		run.Before = p.over(target)
	}
	return p.start(run), nil
}

// over is a pipeline that works on a target.
func (p *program) over(t config.Target) *pipeline.Pipeline {
	bridge, brought := pipeline.Bootstrap(t, helperFinder(t.Bootstrap.Helper))
	return &pipeline.Pipeline{
		Target: t, Shelf: shelf.Later(t.Bundles, t.Build.Dist), Dial: dialer(t.Transport), Logon: armed(t.Transport), Bridge: bridge, Brought: brought, Leave: pipeline.Leave(t),
		Clinic: pipeline.NewClinic(t, helperFinder(t.Bootstrap.Helper), triage(t.Transport)),
		Emit:   p.told.emit, Version: own().Version, Owner: owner(), Address: address(), Now: time.Now, Cache: cacheFolder(),
		Exit: func(r pipeline.Result, err error) int { return exitCode(p.verb, r.State, err) },
	}
}

// cacheFolder is where what was pushed is kept; a user without a cache has none.
func cacheFolder() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "shipper", "pushed")
}

// simple wraps the verbs that need a pipeline and nothing else.
func (p *program) simple(verb string, body func(*cli.Context, verbs) (pipeline.Result, error)) cli.ActionFunc {
	return p.does(verb, func(c *cli.Context) (pipeline.Result, error) {
		run, err := p.pipeline(c)
		if err != nil {
			return pipeline.Result{}, err
		}
		return body(c, run)
	})
}
