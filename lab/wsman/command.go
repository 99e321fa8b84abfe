package wsman

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// maxBuffered bounds the output that waits for a client, in bytes per stream;
// a command that writes more is held up, as by a full pipe.
const maxBuffered = 1 << 20

// exitControlC is the exit code of a program that Ctrl-C ended.
const exitControlC = 0xC000013A

// command is one command of a shell.
type command struct {
	id      string
	console bool          // stdin is a console, not a pipe
	sending chan struct{} // held by the one Send that is under way
	input   []byte        // its data

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	process Process
	streams []*stream
	exited  bool
	exit    uint32
	failed  error
	stopped bool // terminated
	signal  bool // interrupted
}

// stream is an output of the command that was not yet fetched.
type stream struct {
	name       string
	data       []byte
	ended      bool // nothing more will come
	endedTaken bool // and the client was told
}

func newCommand(id string, console bool) *command {
	return &command{
		id: id, console: console, sending: make(chan struct{}, 1), changed: make(chan struct{}),
		streams: []*stream{{name: "stdout"}, {name: "stderr"}},
	}
}

// run connects the started process.
func (c *command) run(p Process) {
	c.mu.Lock()
	c.process = p
	c.mu.Unlock()
	var outputs sync.WaitGroup
	for i, r := range []io.Reader{p.Stdout(), p.Stderr()} {
		outputs.Go(func() { c.collect(c.streams[i], r) })
	}
	go func() {
		exit, err := p.Wait()
		outputs.Wait()
		c.change(func() { c.exited, c.exit, c.failed = true, exit, err })
	}()
}

func (c *command) running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.process != nil
}

// change does f under the lock and wakes who waits for a change.
func (c *command) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	close(c.changed)
	c.changed = make(chan struct{})
}

// collect reads an output to its end.
func (c *command) collect(s *stream, r io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			c.change(func() { s.data = append(s.data, buffer[:n]...) })
			c.waitForRoom(s)
		}
		if err != nil {
			c.change(func() { s.ended = true })
			return
		}
	}
}

func (c *command) waitForRoom(s *stream) {
	for {
		c.mu.Lock()
		full, wake := len(s.data) >= maxBuffered && !c.stopped, c.changed
		c.mu.Unlock()
		if !full {
			return
		}
		<-wake
	}
}

// send writes base64 to stdin. It may fail with TimedOut though the data still
// arrives later: then the next send is refused until it has.
func (c *command) send(ctx context.Context, encoded []byte, end bool, timeout time.Duration) error {
	select {
	case c.sending <- struct{}{}:
	default:
		return faultf(faultBusy, "the requested resource is in use")
	}
	var err error
	if c.input, err = base64.StdEncoding.AppendDecode(c.input[:0], encoded); err != nil {
		<-c.sending
		return faultf(faultSchema, "the stream is not base64")
	}
	done := make(chan error, 1)
	go func() {
		err := c.write(c.input, end)
		<-c.sending
		done <- err
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return timedOut()
	case <-ctx.Done():
		return timedOut()
	}
}

func (c *command) write(data []byte, end bool) error {
	if c.console {
		data, end = cook(data), false
	}
	stdin := c.process.Stdin()
	if len(data) > 0 {
		if _, err := stdin.Write(data); err != nil {
			return faultf(faultPipeEnded, "the pipe has been ended")
		}
	}
	if end {
		_ = stdin.Close() // closed twice is closed
	}
	return nil
}

// cook treats data as typed at a console: line ends become CR LF, control
// characters and what is no ASCII get lost. Nothing ever ends the input.
func cook(data []byte) []byte {
	out := make([]byte, 0, len(data)+16)
	for i, b := range data {
		switch {
		case b == '\n' && (i == 0 || data[i-1] != '\r'):
			out = append(out, '\r', '\n')
		case b == '\r' || b == '\n' || b == '\t' || b >= ' ' && b < 0x7f:
			out = append(out, b)
		case b >= 0x7f:
			out = append(out, '?')
		}
	}
	return out
}

func timedOut() error {
	return faultf(faultTimedOut, "the WS-Management service cannot complete the operation within the time specified in OperationTimeout")
}

// output is what one Receive carries away.
type output struct {
	data  [2][]byte
	ended [2]bool
	done  bool
	exit  uint32
}

// receive waits for output, the end of the command, or the timeout. room is
// how many bytes the reply may carry.
func (c *command) receive(ctx context.Context, timeout time.Duration, room int) (output, error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		out, some, wake, err := c.take(room)
		if some || err != nil {
			return out, err
		}
		select {
		case <-wake:
		case <-timer.C:
			return output{}, timedOut()
		case <-ctx.Done():
			return output{}, faultf(faultAborted, "the client is gone")
		}
	}
}

func (c *command) take(room int) (out output, some bool, wake chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return out, false, nil, faultf(faultAborted, "the I/O operation has been aborted because of either a thread exit or an application request")
	}
	for i, s := range c.streams {
		n := min(len(s.data), room)
		out.data[i], room = s.data[:n:n], room-n
		s.data = s.data[n:]
		some = some || n > 0
	}
	out.done = c.exited && len(c.streams[0].data) == 0 && len(c.streams[1].data) == 0
	for i, s := range c.streams {
		out.ended[i] = out.done && !s.endedTaken
		s.endedTaken = s.endedTaken || out.ended[i]
	}
	out.exit = c.exitCode()
	wake = c.changed
	if some {
		close(c.changed) // there is room again
		c.changed = make(chan struct{})
	}
	return out, some || out.done, wake, nil
}

func (c *command) exitCode() uint32 {
	switch {
	case c.signal:
		return exitControlC
	case c.failed != nil:
		return 1
	}
	return c.exit
}

// takeBack returns output that did not reach the client.
func (c *command) takeBack(out output) {
	c.change(func() {
		for i, s := range c.streams {
			s.data = append(append([]byte(nil), out.data[i]...), s.data...)
			s.endedTaken = s.endedTaken && !out.ended[i]
		}
	})
}

// body is the output as the service writes it.
func (o output) body(id string) string {
	var b strings.Builder
	b.WriteString(`<rsp:ReceiveResponse>`)
	for i, name := range []string{"stdout", "stderr"} {
		if len(o.data[i]) > 0 {
			fmt.Fprintf(&b, `<rsp:Stream Name=%q CommandId=%q>%s</rsp:Stream>`, name, id, base64.StdEncoding.EncodeToString(o.data[i]))
		}
	}
	for i, name := range []string{"stdout", "stderr"} {
		if o.ended[i] {
			fmt.Fprintf(&b, `<rsp:Stream Name=%q CommandId=%q End="true"></rsp:Stream>`, name, id)
		}
	}
	if o.done {
		fmt.Fprintf(&b, `<rsp:CommandState CommandId=%q State=%q><rsp:ExitCode>%d</rsp:ExitCode></rsp:CommandState>`, id, nsShell+"/CommandState/Done", o.exit)
	} else {
		fmt.Fprintf(&b, `<rsp:CommandState CommandId=%q State=%q></rsp:CommandState>`, id, nsShell+"/CommandState/Running")
	}
	b.WriteString(`</rsp:ReceiveResponse>`)
	return b.String()
}

// terminate ends the command's processes and whoever waits for it.
func (c *command) terminate() {
	c.change(func() { c.stopped = true })
	c.kill()
}

// interrupt ends the processes as Ctrl-C does; the exit code tells.
func (c *command) interrupt() {
	c.change(func() { c.signal = !c.exited })
	c.kill()
}

func (c *command) kill() {
	c.mu.Lock()
	p := c.process
	c.mu.Unlock()
	if p != nil {
		p.Kill()
	}
}
