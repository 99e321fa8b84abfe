package lab

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/problem"
)

// Up starts a new lab. The remains of a lab of that name that has died are
// cleared away first; one that lives is an error.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if err := complete(&o); err != nil {
		return nil, err
	}
	base, err := template(ctx, o.Dir, o.Log)
	if err != nil {
		return nil, err
	}
	l, err := claim(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Temporary {
		if l.watcher, err = startWatcher(l.dir, o.Daemon); err != nil {
			return nil, errors.Join(err, l.Down(context.WithoutCancel(ctx)))
		}
	}
	o.Log(fmt.Sprintf("starting Windows hosts: %d", o.Hosts))
	if err := l.startAll(ctx, base, o); err != nil {
		return nil, errors.Join(err, l.Down(context.WithoutCancel(ctx)))
	}
	return l, nil
}

// startAll starts the hosts side by side; the first that fails ends the rest.
func (l *Lab) startAll(ctx context.Context, base string, o Options) error {
	starting, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var hosts sync.WaitGroup
	for i := range l.state.Hosts {
		hosts.Go(func() {
			if err := l.start(starting, i, base, o); err != nil {
				fail(err)
			}
		})
	}
	hosts.Wait()
	return context.Cause(starting)
}

func complete(o *Options) (err error) {
	if os.Getenv(daemonEnv) != "" {
		return errors.New("start a lab: this process was meant to be a host's daemon; call lab.Serve first")
	}
	if o.Name == "" {
		o.Name = "default"
	}
	if err := checkName(o.Name); err != nil {
		return err
	}
	if o.Hosts == 0 {
		o.Hosts = 1
	}
	if o.Hosts < 0 || o.Hosts > 100 {
		return problem.New(problem.Usage, "ask for 1 to 100", "a lab of %d hosts is not possible", o.Hosts)
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if len(o.Daemon) == 0 {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the daemon's program: %w", err)
		}
		o.Daemon = []string{self}
	}
	if o.Dir == "" {
		o.Dir, err = Dir()
	}
	return err
}

// claim writes down that the lab exists, with its network and its secrets.
func claim(ctx context.Context, o Options) (*Lab, error) {
	unlock, err := lockFile(filepath.Join(o.Dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("lock the labs: %w", err)
	}
	defer unlock()
	if err := clearRemains(ctx, o); err != nil {
		return nil, err
	}
	taken, err := takenIndexes(o.Dir)
	if err != nil {
		return nil, err
	}
	net, err := claimNetwork(ctx, os.Geteuid() == 0 && !o.Loopback, taken)
	if err != nil {
		return nil, err
	}
	l := &Lab{dir: filepath.Join(o.Dir, "labs", o.Name)}
	l.state = labState{Name: o.Name, Created: time.Now().UTC(), Network: net}
	if err := l.populate(o.Hosts); err != nil {
		return nil, errors.Join(err, net.remove(ctx), os.RemoveAll(l.dir))
	}
	return l, nil
}

func clearRemains(ctx context.Context, o Options) error {
	old, err := load(o.Dir, o.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(filepath.Join(o.Dir, "labs", o.Name))
	}
	if err != nil {
		return err
	}
	if old.alive() {
		return problem.New(problem.Failed, "use another --name, or end it: `shipper lab down --name "+o.Name+"`", "lab %s is up already", o.Name)
	}
	o.Log("clearing away what a lab of that name left behind")
	return old.Down(ctx)
}

// takenIndexes are the subnets of the other labs in the folder.
func takenIndexes(base string) (map[int]bool, error) {
	labs, err := List(base)
	if err != nil {
		return nil, err
	}
	taken := map[int]bool{}
	for _, s := range labs {
		if l, err := load(base, s.Name); err == nil {
			taken[l.state.Network.Index] = true
		}
	}
	return taken, nil
}

// populate makes the folders, certificates and passwords of the hosts.
func (l *Lab) populate(hosts int) error {
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(l.state.Name)
	if err != nil {
		return err
	}
	caFile := filepath.Join(l.dir, "ca.crt")
	if err := os.WriteFile(caFile, ca.pem, 0o644); err != nil {
		return err
	}
	var random [10]byte
	_, _ = rand.Read(random[:]) // never fails
	for i := range hosts {
		h := Host{
			Name: fmt.Sprintf("host%d", i+1), Address: l.state.Network.address(i), HTTPPort: portHTTP, HTTPSPort: portHTTPS,
			User: account, Password: hex.EncodeToString(random[:]), CAFile: caFile,
		}
		if err := l.populateHost(h, ca); err != nil {
			return fmt.Errorf("prepare %s: %w", h.Name, err)
		}
		l.state.Hosts = append(l.state.Hosts, h)
	}
	if err := l.writeNames(); err != nil {
		return err
	}
	return writeJSON(filepath.Join(l.dir, "lab.json"), l.state)
}

// writeNames writes what the hosts see as /etc/hosts and /etc/resolv.conf:
// each other by name, and nobody else.
func (l *Lab) writeNames() error {
	names := "127.0.0.1 localhost\n"
	for _, h := range l.state.Hosts {
		names += h.Address + " " + h.Name + "\n"
	}
	return errors.Join(
		os.WriteFile(filepath.Join(l.dir, "hosts"), []byte(names), 0o644),
		os.WriteFile(filepath.Join(l.dir, "resolv.conf"), nil, 0o644),
	)
}

func (l *Lab) populateHost(h Host, ca authority) error {
	dir := l.hostDir(h.Name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	certificate, key, err := ca.issue(h.Name, h.Address)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "host.crt"), certificate, 0o644),
		os.WriteFile(filepath.Join(dir, "host.key"), key, 0o600),
		writeJSON(filepath.Join(dir, "host.json"), hostState{Host: h, Isolated: l.state.Network.isolated()}),
	)
}

// start makes one host's prefix and starts its daemon.
func (l *Lab) start(ctx context.Context, index int, template string, o Options) error {
	h := l.state.Hosts[index]
	if err := clonePrefix(template, l.hostDir(h.Name)); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if err := l.startDaemon(ctx, index, o.Daemon); err != nil {
		return fmt.Errorf("start %s: %w", h.Name, err)
	}
	o.Log(fmt.Sprintf("%s is up at %s", h.Name, h.Address))
	return nil
}

// startDaemon starts it in namespaces of its own, gives them a network, and
// waits until the host is up.
func (l *Lab) startDaemon(ctx context.Context, index int, program []string) error {
	cmd := daemonCommand(program, l.hostDir(l.state.Hosts[index].Name))
	if l.state.Network.isolated() {
		cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWNS
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if l.state.Network.isolated() {
		if err := l.state.Network.connect(ctx, index, cmd.Process.Pid); err != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			return err
		}
	}
	if _, err := stdin.Write([]byte("go\n")); err != nil {
		return err
	}
	return ready(ctx, cmd, bufio.NewReader(stdout))
}

// daemonCommand is a daemon for a folder, in a session of its own.
func daemonCommand(program []string, dir string) *exec.Cmd {
	cmd := exec.Command(program[0], append(program[1:len(program):len(program)], "lab", "daemon", dir)...)
	cmd.Env = append(os.Environ(), daemonEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// ready waits for the daemon's word.
func ready(ctx context.Context, cmd *exec.Cmd, out *bufio.Reader) error {
	said := make(chan string, 1)
	go func() {
		line, _ := out.ReadString('\n') // nothing is an answer too
		said <- strings.TrimSpace(line)
		_ = cmd.Wait() // as long as this process lives, it reaps the daemon
	}()
	select {
	case line := <-said:
		if line == "ready" {
			return nil
		}
		return fmt.Errorf("its daemon did not come up: %q", line)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
