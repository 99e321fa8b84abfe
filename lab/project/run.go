package project

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"

	"github.com/go-shipper/shipper/journal"
)

// Process is a running shipper.
type Process struct {
	*exec.Cmd
	show   func(journal.Record)
	stderr bytes.Buffer
	done   chan struct{}

	mu      sync.Mutex
	change  *sync.Cond
	records []journal.Record
	ended   bool
	err     error
}

// Start runs shipper with --json and the arguments; show, if not nil, sees
// each record as it comes.
func (p *Project) Start(ctx context.Context, show func(journal.Record), args ...string) (*Process, error) {
	cmd := exec.CommandContext(ctx, p.o.Shipper, append([]string{"--json"}, args...)...)
	cmd.Dir = p.o.Dir
	cmd.Env = append(os.Environ(), PasswordVar+"="+p.o.Hosts[0].Password, "XDG_CACHE_HOME="+p.cache(), "GOCACHE="+p.goCache)
	run := &Process{Cmd: cmd, show: show, done: make(chan struct{})}
	run.change = sync.NewCond(&run.mu)
	cmd.Stderr = &run.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start shipper: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start shipper: %w", err)
	}
	go run.read(out)
	return run, nil
}

// Run runs shipper to its end.
func (p *Project) Run(ctx context.Context, show func(journal.Record), args ...string) (*Process, error) {
	run, err := p.Start(ctx, show, args...)
	if err != nil {
		return nil, err
	}
	return run, run.Done()
}

// Done waits for the end; an exit code other than 0 is no error.
func (r *Process) Done() error {
	<-r.done
	return r.err
}

// Exit is the exit code; -1 if a signal ended the program.
func (r *Process) Exit() int { return r.ProcessState.ExitCode() }

// Stderr is what was written for people.
func (r *Process) Stderr() string { return r.stderr.String() }

// Records is what was told so far.
func (r *Process) Records() []journal.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]journal.Record(nil), r.records...)
}

// Find decodes the first record of a type that fits; ok is false if there is
// none.
func Find[T any](records []journal.Record, kind string, fits func(journal.Record, T) bool) (rec journal.Record, data T, ok bool) {
	for _, rec := range records {
		var data T
		if rec.Type == kind && json.Unmarshal(rec.Data, &data) == nil && (fits == nil || fits(rec, data)) {
			return rec, data, true
		}
	}
	return rec, data, false
}

// Result is the last record's data.
func (r *Process) Result() journal.Result {
	_, res, _ := Find[journal.Result](r.Records(), journal.TypeResult, nil)
	return res
}

// Until waits until cond holds for what was told; it fails when the program
// ended before.
func (r *Process) Until(cond func([]journal.Record) bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !cond(r.records) {
		if r.ended {
			return fmt.Errorf("shipper ended before it happened; stderr: %s", r.stderr.String())
		}
		r.change.Wait()
	}
	return nil
}

func (r *Process) read(out io.Reader) {
	defer close(r.done)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var rec journal.Record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			r.err = fmt.Errorf("stdout is not JSON lines: %q", lines.Text())
			continue
		}
		r.tell(rec)
	}
	var exit *exec.ExitError
	if err := r.Wait(); err != nil && !errors.As(err, &exit) {
		r.err = err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	r.change.Broadcast()
}

func (r *Process) tell(rec journal.Record) {
	r.mu.Lock()
	r.records = append(r.records, rec)
	r.change.Broadcast()
	r.mu.Unlock()
	if r.show != nil {
		r.show(rec)
	}
}
