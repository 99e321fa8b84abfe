package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/problem"
)

// Open finds a lab that another process started. dir is Options.Dir.
func Open(_ context.Context, dir, name string) (*Lab, error) {
	if name == "" {
		name = "default"
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	dir, err := folder(dir)
	if err != nil {
		return nil, err
	}
	l, err := load(dir, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.Failed, "start it: `shipper lab up --name "+name+"`", "there is no lab %s", name)
	}
	return l, err
}

func folder(dir string) (string, error) {
	if dir != "" {
		return dir, nil
	}
	return Dir()
}

// List tells all labs in the folder, in the order of their names. dir is
// Options.Dir.
func List(dir string) ([]Summary, error) {
	dir, err := folder(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "labs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list labs: %w", err)
	}
	var all []Summary
	for _, e := range entries {
		l, err := load(dir, e.Name())
		if err != nil {
			continue // its start or its end is under way
		}
		all = append(all, Summary{Name: l.state.Name, Hosts: l.state.Hosts, Running: l.alive(), Created: l.state.Created})
	}
	return all, nil
}

// Name is the lab's name.
func (l *Lab) Name() string { return l.state.Name }

// Hosts are the lab's hosts.
func (l *Lab) Hosts() []Host { return append([]Host(nil), l.state.Hosts...) }

// Prefix is the folder of a host's Wine prefix; drive_c in it is its C: drive.
func (l *Lab) Prefix(host string) string { return filepath.Join(l.hostDir(host), "prefix") }

// Reboot cuts a host's power, keeps it off for downFor, and returns when it
// has booted and its ports are open again.
func (l *Lab) Reboot(ctx context.Context, host string, downFor time.Duration) error {
	return l.simple(ctx, host, controlRequest{Op: "reboot", Down: downFor}, "reboot")
}

// SetFaults arms the faults of a host's endpoint.
func (l *Lab) SetFaults(ctx context.Context, host string, f Faults) error {
	return l.simple(ctx, host, controlRequest{Op: "faults", Faults: f}, "set faults of")
}

func (l *Lab) simple(ctx context.Context, host string, r controlRequest, what string) error {
	if _, err := l.host(host); err != nil {
		return err
	}
	if _, err := l.ask(ctx, host, r, nil, io.Discard, io.Discard); err != nil {
		return problem.Wrap(problem.Failed, err, what+" "+host, "")
	}
	return nil
}

// Exec runs a command line on a host as cmd.exe does, not by WinRM, and
// returns its exit code. stdin may be nil.
func (l *Lab) Exec(ctx context.Context, host, line string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if _, err := l.host(host); err != nil {
		return 0, err
	}
	exit, err := l.ask(ctx, host, controlRequest{Op: "exec", Line: line}, stdin, stdout, stderr)
	if err != nil {
		return 0, problem.Wrap(problem.Failed, err, "run a command on "+host, "")
	}
	return int(exit), nil
}

// Down ends the lab and leaves nothing of it: no process, no interface, no
// folder. A lab that has died is cleared away just so.
func (l *Lab) Down(ctx context.Context) error {
	var errs []error
	for _, h := range l.state.Hosts {
		l.endDaemon(h.Name)
		prefix := l.Prefix(h.Name)
		errs = append(errs, powerCut(ctx, prefix), forgetServer(prefix))
	}
	errs = append(errs, l.state.Network.remove(ctx))
	if err := errors.Join(errs...); err != nil {
		return problem.Wrap(problem.Failed, err, "end lab "+l.state.Name, "")
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return problem.Wrap(problem.Failed, err, "remove lab "+l.state.Name, "")
	}
	if l.watcher != nil {
		l.watcher.dismiss()
	}
	return nil
}

// endDaemon kills a host's daemon: whatever it could still say does not matter.
func (l *Lab) endDaemon(host string) {
	if pid := l.daemonPID(host); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone is fine
	}
}

// daemonPID is the daemon's process, 0 if it does not run. The number may
// have been given to another process since: the command line tells.
func (l *Lab) daemonPID(host string) int {
	b, err := os.ReadFile(filepath.Join(l.hostDir(host), "daemon.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		return 0
	}
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.HasSuffix(string(line), "\x00daemon\x00"+l.hostDir(host)+"\x00") {
		return 0
	}
	return pid
}

// alive reports whether all daemons run.
func (l *Lab) alive() bool {
	for _, h := range l.state.Hosts {
		if l.daemonPID(h.Name) == 0 {
			return false
		}
	}
	return true
}
