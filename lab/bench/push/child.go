//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/go-shipper/shipper/journal"
)

// The hosts are simulated in a process of their own, and a controller whose
// memory is measured is one as well.

// child is one of them.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// spawn starts this program in another role and gives it its order.
func spawn(ctx context.Context, role string, order any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.CommandContext(ctx, self, "-role", role)}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, json.NewEncoder(c.in).Encode(order)
}

// end closes its stdin and waits.
func (c *child) end() error {
	c.in.Close()
	return c.cmd.Wait()
}

// processor is how long a process kept a processor busy, and its disk, in 512
// byte blocks written.
type processor struct {
	busy    time.Duration
	written int64
}

func usage(u *syscall.Rusage) processor {
	return processor{time.Duration(u.Utime.Nano() + u.Stime.Nano()), u.Oublock}
}

// own is that of this process.
func own() processor {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never fails for oneself
	return usage(&u)
}

// withHosts runs f beside n simulated hosts.
func (b *bench) withHosts(ctx context.Context, o hostsOrder, f func([]remote) error) error {
	c, err := spawn(ctx, "hosts", o)
	if err != nil {
		return err
	}
	var ports []int
	if err := c.out.Decode(&ports); err != nil {
		_ = c.end() // its complaint is on stderr
		return fmt.Errorf("start hosts: %w", err)
	}
	if err := f(simRemotes(ports)); err != nil {
		_ = c.end()
		return err
	}
	err = c.end()
	if u, ok := c.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		b.hosts = usage(u)
	}
	return err
}

// pushOrder is what a controller of its own does.
type pushOrder struct {
	Hosts  []remote
	Bundle string
	Plain  bool
}

// pushed is what it says of that.
type pushed struct {
	Seconds float64 // of the whole verb: connect, lock, push, unlock
	MB      float64 // at most, resident
	Told    map[string]journal.Push
}

func pushAlone(ctx context.Context, o pushOrder) (pushed, error) {
	var p pushed
	c, err := spawn(ctx, "controller", o)
	if err != nil {
		return p, err
	}
	err = c.out.Decode(&p)
	if ended := c.end(); ended != nil {
		err = ended
	}
	return p, err
}

// serveController is the process of pushAlone.
func serveController(ctx context.Context, in io.Reader, out io.Writer) error {
	var o pushOrder
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return err
	}
	began := time.Now()
	told, err := push(ctx, controller(o.Hosts, o.Plain), o.Bundle)
	if err != nil {
		return err
	}
	p := pushed{Seconds: time.Since(began).Seconds(), Told: told}
	if p.MB, err = peak(); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(p)
}

// peak is the most memory this process ever had resident, in MB.
func peak() (float64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb * 1024 / 1e6, nil
		}
	}
	return 0, fmt.Errorf("read peak of memory: no VmHWM")
}
