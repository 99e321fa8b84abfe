package wrapper

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-shipper/shipper/host/logfile"
	"github.com/go-shipper/shipper/host/scm/tree"
	"github.com/go-shipper/shipper/host/secret"
)

// strayTimeout bounds the wait for output held by a process that escaped the tree.
const strayTimeout = 2 * time.Second

// Run runs the program until it ends, or until ctx ends and the program has
// been stopped; ready is called once it is started. exit is the program's
// exit code. err is nil after a requested stop, however the program took it;
// otherwise it says why the program did not start, or that it ended by itself
// with a failure.
func Run(ctx context.Context, c Config, ready func()) (exit uint32, err error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return 1, err
	}
	log, err := logfile.Open(filepath.Join(c.LogDir, "out.log"), c.LogMaxBytes, c.LogKeep)
	if err != nil {
		return 1, err
	}
	defer log.Close()
	p, err := start(c, log)
	if err != nil {
		fmt.Fprintf(log, "shipper: %v\n", err)
		return 1, err
	}
	ready()
	return p.wait(ctx)
}

// program is the wrapped program, its input and its output.
type program struct {
	Config
	tree   *tree.Tree
	stdin  io.Closer
	log    *logfile.Log
	copied chan struct{} // all output is in the log
}

func start(c Config, log *logfile.Log) (*program, error) {
	env, err := environment(c)
	if err != nil {
		return nil, err
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make output pipe: %w", err)
	}
	cmd := &exec.Cmd{Path: c.Executable, Args: append([]string{c.Executable}, c.Args...),
		Env: env, Dir: c.Dir, Stdout: in, Stderr: in}
	stdin, err := cmd.StdinPipe()
	if err == nil {
		var t *tree.Tree
		if t, err = tree.Start(cmd); err == nil {
			p := &program{Config: c, tree: t, stdin: stdin, log: log, copied: make(chan struct{})}
			in.Close()
			go p.copy(out)
			return p, nil
		}
	}
	in.Close()
	out.Close()
	return nil, fmt.Errorf("start program: %w", err)
}

// environment adds what is configured and what is sealed to our own. It is
// the only place where the secrets are open.
func environment(c Config) ([]string, error) {
	env := maps.Clone(c.Env)
	if c.SecretsFile != "" {
		sealed, err := os.ReadFile(c.SecretsFile)
		if err != nil {
			return nil, fmt.Errorf("read secrets: %w", err)
		}
		secrets, err := secret.NewBox(c.KeyDir).OpenMap(sealed)
		if err != nil {
			return nil, err
		}
		if env == nil {
			env = map[string]string{}
		}
		maps.Copy(env, secrets)
	}
	all := os.Environ()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all, nil
}

// copy ends when the last process that holds the output ended; the tree's
// end sees to that.
func (p *program) copy(out *os.File) {
	defer close(p.copied)
	defer out.Close()
	_, _ = io.Copy(p.log, out)
}

func (p *program) wait(ctx context.Context) (uint32, error) {
	select {
	case <-p.tree.Done():
		p.drain()
		exit := p.tree.Exit()
		if exit == 0 {
			return 0, nil
		}
		return exit, fmt.Errorf("program ended with exit code %d", exit)
	case <-ctx.Done():
		p.stop()
		p.drain()
		return p.tree.Exit(), nil
	}
}

// drain waits until all output is in the log.
func (p *program) drain() {
	late := time.NewTimer(strayTimeout)
	defer late.Stop()
	select {
	case <-p.copied:
	case <-late.C:
		p.note("a process outside the program's tree still holds its output")
	}
}

// note writes a line of our own into the program's log.
func (p *program) note(format string, args ...any) {
	fmt.Fprintf(p.log, "shipper: "+format+"\n", args...)
}
