package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/pipeline"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/report"
	"github.com/go-shipper/shipper/transport"
)

// teller is the one voice of the program: records to stdout with --json, else
// the story to stderr; errors and hints to stderr.
type teller struct {
	json    bool
	verbose bool
	color   bool
	stdout  io.Writer
	stderr  io.Writer

	mu    sync.Mutex
	opts  report.Options
	show  func(journal.Record)
	seq   int64
	run   string
	story []journal.Record // for the summary of a CI job
	over  bool
	done  chan struct{} // closed when all is told
}

func newTeller(stdout, stderr io.Writer, args []string) *teller {
	t := &teller{
		json: wanted(args, "--json"), verbose: wanted(args, "--verbose"),
		stdout: stdout, stderr: stderr, done: make(chan struct{}),
	}
	tty, width := terminal(stderr)
	t.color = tty && os.Getenv("NO_COLOR") == "" && !wanted(args, "--no-color")
	t.opts = report.Options{Color: t.color, TTY: t.color, Width: width, Verbose: t.verbose}
	if t.json {
		t.show = report.JSON(stdout)
	}
	return t
}

// expect makes room for the names of the hosts and lets the bars move.
func (t *teller) expect(hosts []config.Host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range hosts {
		t.opts.Hosts = append(t.opts.Hosts, h.Name)
	}
	if t.color && !t.json {
		go t.tick()
	}
}

// tick moves the bars between two records.
func (t *teller) tick() {
	every := time.NewTicker(250 * time.Millisecond)
	defer every.Stop()
	for {
		select {
		case <-t.done:
			return
		case now := <-every.C:
			t.mu.Lock()
			if !t.over && t.show != nil {
				t.show(report.Tick(now))
			}
			t.mu.Unlock()
		}
	}
}

// terminal reports whether w is one, and how wide.
func terminal(w io.Writer) (bool, int) {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return false, 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return true, 80
	}
	return true, width
}

// emit tells a record of a run. The run's own result is kept back: the last
// record is the verb's, with the exit code.
func (t *teller) emit(r journal.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Type == journal.TypeResult {
		t.run = r.Run
		return
	}
	t.tell(r)
}

// record tells something that belongs to no run.
func (t *teller) record(kind, host string, data any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tell(newRecord(kind, host, data))
}

// answer tells what was asked for: to stdout, because it is the point of the
// verb.
func (t *teller) answer(kind, host string, data any) {
	if t.json {
		t.record(kind, host, data)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = report.Answer(t.stdout, newRecord(kind, host, data)) // nobody reads any more
}

func newRecord(kind, host string, data any) journal.Record {
	raw, err := json.Marshal(data)
	if err != nil { // only our own types come here
		panic(err)
	}
	return journal.Record{V: journal.Version, Time: time.Now().UTC(), Type: kind, Host: host, Data: raw}
}

func (t *teller) tell(r journal.Record) {
	if t.over {
		return
	}
	if r.Run != "" {
		t.run = r.Run
	}
	if r.Seq == 0 {
		r.Seq = t.seq + 1
	}
	t.seq = max(t.seq, r.Seq)
	if t.show == nil {
		t.show = report.Terminal(t.stderr, t.opts)
	}
	if r.Type != journal.TypeProgress && len(t.story) < maxStory {
		t.story = append(t.story, r)
	}
	t.show(r)
}

// finish tells how the verb ended and returns the exit code. Nothing is told
// after it.
func (t *teller) finish(verb string, result pipeline.Result, err error) int {
	exit := exitCode(verb, result.State, err)
	t.mu.Lock()
	defer t.mu.Unlock()
	data := journal.Result{
		Verb: verb, State: string(stateOf(result, exit)), Exit: exit,
		Run: result.Run, Release: result.Release,
	}
	if err != nil {
		data.Error, data.Hint = err.Error(), hintOf(err)
	}
	if data.Run == "" && verb != "demo" { // it tells several runs and is none
		data.Run = t.run
	}
	r := newRecord(journal.TypeResult, "", data)
	r.Run = data.Run
	t.tell(r)
	t.over = true
	close(t.done)
	t.complain(err)
	t.github(data)
	return exit
}

// complain prints error: and hint:, one pair per problem.
func (t *teller) complain(err error) {
	if err == nil {
		return
	}
	var many config.Problems
	if errors.As(err, &many) {
		for _, p := range many {
			t.pair(p.Error(), p.Hint)
		}
		return
	}
	t.pair(err.Error(), hintOf(err))
}

func (t *teller) pair(why, hint string) {
	red, plain := "", ""
	if t.color {
		red, plain = "\x1b[31m", "\x1b[0m"
	}
	fmt.Fprintf(t.stderr, "%serror:%s %s\n", red, plain, quoted(strings.TrimSpace(why)))
	if hint != "" {
		fmt.Fprintf(t.stderr, "hint: %s\n", hint)
	}
}

// hintOf finds the remedy of a problem or of a failed connection.
func hintOf(err error) string {
	if hint := problem.HintOf(err); hint != "" {
		return hint
	}
	var failed *transport.Error
	if errors.As(err, &failed) {
		return failed.Hint
	}
	return ""
}

// crashed keeps a stack for those who ask for it, away from people's eyes.
func crashed(reason any, stack []byte, verbose bool) error {
	err := problem.New(problem.Failed, "run it again with --verbose to keep the details in a file", "internal error: %v", reason)
	if !verbose {
		return err
	}
	file, failed := os.CreateTemp("", "shipper-panic-*.txt")
	if failed != nil {
		err.Hint = "the details could not be kept: " + failed.Error()
		return err
	}
	defer file.Close()
	fmt.Fprintf(file, "%v\n\n%s", reason, stack)
	err.Hint = "the details are in " + file.Name()
	return err
}
