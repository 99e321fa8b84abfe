//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/release"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/winrm"
)

// mishap is one thing that goes wrong during a push.
type mishap struct {
	name   string
	faults wsman.Faults
	reboot bool
	wrong  bool // credentials
	full   bool // disk
}

// mishaps are all that a push must live through. Only wrong credentials and a
// full disk may end one, with an error that says so and nothing to start.
func mishaps() []mishap {
	return []mishap{
		{name: "cut", faults: wsman.Faults{CutAfterBytes: 200_000}},
		{name: "cut at once", faults: wsman.Faults{CutAfterBytes: 1}},
		{name: "shells lost", faults: wsman.Faults{LoseShells: 1}},
		{name: "delivered, but timed out", faults: wsman.Faults{HoldSends: 2}},
		{name: "busy", faults: wsman.Faults{BusySends: 2}},
		{name: "logged off", faults: wsman.Faults{Expel: 1}},
		{name: "logon refused once", faults: wsman.Faults{CutAfterBytes: 100_000, RefuseAuth: 1}},
		{name: "unavailable", faults: wsman.Faults{Unavailable: 700 * time.Millisecond}},
		{name: "silent", faults: wsman.Faults{Silence: 2500 * time.Millisecond}},
		{name: "reboot", reboot: true},
		{name: "wrong password", wrong: true},
		{name: "disk full", full: true},
	}
}

// hangAfter is far above every budget of a push to one host.
const hangAfter = 4 * time.Minute

// faultRun is many pushes, each with a mishap.
type faultRun struct {
	dir     string
	pushes  int
	workers int
	seed    uint64
	log     func(format string, args ...any)

	mu        sync.Mutex
	completed int // verified, or ended as they may
	hangs     int
	failures  []error
	by        map[string]int
}

// faults is the long run.
func (b *bench) faults(ctx context.Context) error {
	f := &faultRun{dir: b.dir, pushes: b.pushes, workers: 8, seed: b.seed, log: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}}
	began := time.Now()
	if err := f.run(ctx); err != nil {
		return err
	}
	b.results["faults"], b.results["faults_completed"], b.results["hangs"] = float64(f.pushes), float64(f.completed), float64(f.hangs)
	for _, m := range mishaps() {
		b.row("pushes through: "+m.name, fmt.Sprint(f.by[m.name]))
	}
	b.row("ended as they must", fmt.Sprintf("%d of %d", f.completed, f.pushes), fmt.Sprintf("%d hang", f.hangs), fmt.Sprintf("%.0f s", time.Since(began).Seconds()))
	return nil
}

func (f *faultRun) run(ctx context.Context) error {
	f.by = map[string]int{}
	next := make(chan int)
	var work sync.WaitGroup
	errs := make([]error, f.workers)
	for w := range f.workers {
		work.Go(func() {
			root := filepath.Join(f.dir, fmt.Sprintf("worker%d", w))
			errs[w] = f.worker(ctx, root, next)
			for range next { // the others' pushes are not held up by one that gave up
			}
		})
	}
	for i := range f.pushes {
		next <- i
	}
	close(next)
	work.Wait()
	return errors.Join(errs...)
}

// worker has a host of its own, which lives through all of its pushes.
func (f *faultRun) worker(ctx context.Context, root string, next <-chan int) error {
	box, err := newBox(ctx, root)
	if err != nil {
		return err
	}
	defer box.close()
	all := mishaps()
	for i := range next {
		r := rand.New(rand.NewPCG(f.seed, uint64(i)))
		m := all[r.IntN(len(all))]
		err := f.one(ctx, box, r, m, i)
		f.mu.Lock()
		f.by[m.name]++
		switch {
		case err == nil:
			f.completed++
		case errors.Is(err, errHang):
			f.hangs++
			fallthrough
		default:
			f.failures = append(f.failures, fmt.Errorf("push %d, %s: %w", i, m.name, err))
		}
		f.mu.Unlock()
		if err != nil {
			f.log("push %d, %s: %v", i, m.name, err)
		}
	}
	return nil
}

var errHang = errors.New("it hangs")

// one push: a new content of some size, a mishap at some Send.
func (f *faultRun) one(ctx context.Context, box *box, r *rand.Rand, m mishap, i int) error {
	content := make([]byte, 200_000+r.IntN(2_500_000))
	for at := range content {
		content[at] = byte(r.Uint32() >> 8)
	}
	version := fmt.Sprintf("1.0.%d", i)
	path, err := bundle(f.dir, version, "windows", content)
	if err != nil {
		return err
	}
	defer os.Remove(path)
	undo, err := box.arm(m, r.IntN(5))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, hangAfter, errHang)
	defer cancel()
	err = box.push(ctx, m, path)
	undo()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return box.judge(m, version, content, err)
}

// box is a simulated host that can be rebooted.
type box struct {
	ctx  context.Context
	root string
	boot int
	now  *simulated
	stop context.CancelFunc

	rebooting sync.WaitGroup
}

func newBox(ctx context.Context, root string) (*box, error) {
	b := &box{ctx: ctx, root: root}
	return b, b.up(0)
}

func (b *box) up(port int) (err error) {
	b.boot++
	ctx, stop := context.WithCancel(b.ctx)
	b.stop = stop
	b.now, err = startSimulated(ctx, machine{name: "box", root: b.root, boot: fmt.Sprint(b.boot), limits: limits(), port: port})
	if err != nil {
		stop()
	}
	return err
}

func (b *box) close() {
	b.rebooting.Wait()
	b.stop()
	<-b.now.ended
}

// arm prepares the mishap; undo ends what lasts.
func (b *box) arm(m mishap, after int) (undo func(), err error) {
	m.faults.After = after
	b.now.server.SetFaults(m.faults)
	switch {
	case m.reboot:
		b.now.onSend(after, func() { b.rebooting.Go(b.reboot) })
	case m.full:
		return fill(b.now.layout.Programs)
	}
	return func() {
		b.rebooting.Wait()
		b.now.onSend(-1, nil)
		b.now.server.SetFaults(wsman.Faults{})
	}, nil
}

// reboot is a power cut and a start on the same address.
func (b *box) reboot() {
	port := b.now.port
	b.now.server.Close()
	b.stop()
	<-b.now.ended
	if err := b.up(port); err != nil {
		panic(fmt.Errorf("boot the host: %w", err)) // the run cannot go on without it
	}
}

func (b *box) push(ctx context.Context, m mishap, path string) error {
	r := remote{Host: "box", Address: "127.0.0.1", Port: b.now.port, User: simUser, Password: simPassword, Serve: serveLine}
	if m.wrong {
		r.Password = "wrong"
	}
	p := controller([]remote{r}, true)
	p.Target.Rollback.Lease = time.Minute
	p.Dial = func(ctx context.Context, h config.Host) (transport.Conn, error) {
		cfg := r.config()
		cfg.OperationTimeout, cfg.Grace, cfg.Liveness = 2*time.Second, time.Second, 10*time.Second
		cfg.RetryDelay, cfg.DialTimeout = 250*time.Millisecond, 5*time.Second
		return winrm.Dial(ctx, cfg)
	}
	_, err := p.Push(ctx, path)
	return err
}

// judge says whether a push ended as it must.
func (b *box) judge(m mishap, version string, content []byte, err error) error {
	dir := filepath.Join(b.now.layout.Programs, "services", serviceName, "releases")
	installed, _ := filepath.Glob(filepath.Join(dir, version+"-*")) // the pattern is well-formed
	if m.wrong || m.full {
		switch {
		case err == nil:
			return errors.New("it succeeded")
		case len(installed) > 0:
			return fmt.Errorf("something to start is left behind: %s", installed)
		}
		return m.says(err)
	}
	if err != nil {
		return err
	}
	if len(installed) != 1 {
		return fmt.Errorf("%d folders of the release", len(installed))
	}
	got, err := os.ReadFile(filepath.Join(installed[0], "service.exe"))
	if err != nil {
		return err
	}
	if release.Of(got) != release.Of(content) {
		return errors.New("other bytes are installed")
	}
	return os.RemoveAll(installed[0]) // the disk is not endless
}
