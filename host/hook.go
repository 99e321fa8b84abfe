package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/host/wrapper"
	"github.com/go-shipper/shipper/release"
)

// A hook on the host is a program of the release itself, run as a service of
// its own under the account of the slots, or a virtual one of its own: with
// what an instance may do, and never with the guard's rights.

const (
	hookSuffix = "-hook"
	hookSlot   = release.Slot("hook") // of its logs
	maxHook    = 10 * time.Minute
	hookPoll   = 100 * time.Millisecond
)

func (s *service) hookName() string { return s.name + hookSuffix }
func (s *service) hookDir() string {
	return filepath.Join(s.g.opts.Layout.Service(s.name), "hook")
}

// hook runs a program of the release to its end.
func (s *service) hook(ctx context.Context, p rpc.Hook) (rpc.HookReply, error) {
	var reply rpc.HookReply
	if len(p.Command) == 0 || release.CheckPath(p.Command[0]) != nil || p.Limit <= 0 || p.Limit > maxHook {
		return reply, rpc.Errorf(rpc.CodeFailed, "name a program of the release by its path there", "hook %s: %q for %v is not possible", p.Name, p.Command, p.Limit)
	}
	admit := func() error { return s.holds(p.Fenced) }
	err := s.work(ctx, order{name: "hook", admit: admit}, func(ctx context.Context) (err error) {
		reply, err = s.runHook(ctx, p)
		return err
	})
	if err != nil { // as in starts
		return rpc.HookReply{}, err
	}
	return reply, nil
}

func (s *service) runHook(ctx context.Context, p rpc.Hook) (reply rpc.HookReply, err error) {
	rev, err := s.wanted(ctx, p.Start)
	if err != nil {
		return reply, err
	}
	if err := s.g.store.Verify(ctx, s.name, rev.Release); err != nil {
		return reply, err
	}
	began := s.g.now()
	defer func() { err = errors.Join(err, removeFile(filepath.Join(s.hookDir(), secretsName))) }()
	if err := s.equipHook(ctx, rev, p); err != nil {
		return reply, fmt.Errorf("prepare hook %s: %w", p.Name, err)
	}
	reply.Exit, err = s.untilDone(ctx, p.Limit)
	reply.Millis = s.g.now().Sub(began).Milliseconds()
	if err == nil && reply.Exit != 0 {
		err = rpc.Errorf(rpc.CodeUnhealthy, "its output is in "+s.g.opts.Layout.Logs(s.name, hookSlot)+" on the host",
			"it ended with exit code %d", reply.Exit)
	}
	return reply, err
}

// equipHook writes what the program finds when it starts, and its service.
func (s *service) equipHook(ctx context.Context, rev release.Revision, p rpc.Hook) error {
	var slot release.Slot
	if err := s.do(ctx, func() error { slot = s.st.Stable.Other(); return nil }); err != nil {
		return err
	}
	w := s.words(rev, slot, slotPort(p.Ports, slot))
	rendered, err := render(rev, w, nil)
	if err != nil {
		return err
	}
	env := s.environment(rendered, slot, w)
	maps.DeleteFunc(env, func(name, _ string) bool { return name == "SHIPPER_ROLE_FILE" || name == "SHIPPER_SECRETS" }) // of instances
	maps.Copy(env, p.Vars)
	env["SHIPPER_STAGE"], env["SHIPPER_RUN"] = p.Stage, p.Run
	dir, logs := s.g.store.Path(s.name, rev.Release), s.g.opts.Layout.Logs(s.name, hookSlot)
	config := wrapper.Config{
		Name: s.hookName(), Executable: filepath.Join(dir, filepath.FromSlash(p.Command[0])), Args: p.Command[1:], Env: env, Dir: dir,
		LogDir: logs, StopSignal: wrapper.Kill, StopTimeout: time.Second.Milliseconds(),
	}
	account := rev.Account
	if account == "" {
		account = `NT SERVICE\` + s.hookName()
	}
	path := filepath.Join(s.hookDir(), wrapName)
	err = s.g.opts.SCM.Ensure(ctx, scm.Spec{
		Name: s.hookName(), DisplayName: displayName(rev) + " (hook)", Account: account, Start: scm.Manual,
		Executable: s.g.opts.Executable, Args: append([]string{"wrap", "--config", path}, s.g.opts.Args...), StopTimeout: stopMargin,
	})
	if err != nil {
		return err
	}
	if err := s.share(account, map[string]acl.Access{
		dir: acl.Read, filepath.Dir(s.g.opts.Executable): acl.Read, s.hookDir(): acl.Read, logs: acl.Modify, s.dataDir(rev, slot): acl.Modify,
	}); err != nil {
		return err
	}
	if len(rev.Fingerprints) > 0 {
		sealed, err := readBounded(filepath.Join(s.revisionDir(rev.ID()), secretsName), maxDocument)
		if err != nil {
			return err
		}
		config.SecretsFile, config.KeyDir = filepath.Join(s.hookDir(), secretsName), s.g.opts.Layout.Guard()
		if err := acl.WriteProtected(config.SecretsFile, sealed, account); err != nil {
			return err
		}
	}
	b, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return writeFile(path, b)
}

// share makes folders and gives an account what it needs of them.
func (s *service) share(account string, folders map[string]acl.Access) error {
	for path, how := range folders {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
		if err := acl.Grant(path, account, how); err != nil {
			return err
		}
	}
	return nil
}

// untilDone starts the hook's service and waits for its end, which it brings
// about where the program takes too long or the run is taken back.
func (s *service) untilDone(ctx context.Context, limit time.Duration) (uint32, error) {
	until := s.g.now().Add(limit)
	stop := func() error { return s.g.opts.SCM.Stop(context.WithoutCancel(ctx), s.hookName(), stopMargin) }
	err := s.g.opts.SCM.Start(ctx, s.hookName())
	var failed *scm.StartError
	if errors.As(err, &failed) && failed.Code == 0 { // it has ended already
		return failed.Exit, nil
	}
	if err != nil {
		return 0, rpc.Errorf(rpc.CodeUnhealthy, "", "%s", strings.TrimSpace(err.Error()))
	}
	for {
		status, err := s.g.opts.SCM.Status(ctx, s.hookName())
		switch {
		case err != nil:
			return 0, errors.Join(err, stop())
		case status.State == scm.Stopped:
			return status.Exit, nil
		case !s.g.now().Before(until):
			return 0, errors.Join(rpc.Errorf(rpc.CodeUnhealthy, "", "no end within %s", limit), stop())
		}
		if err := s.g.sleep(ctx, hookPoll); err != nil {
			return 0, errors.Join(err, stop())
		}
	}
}
