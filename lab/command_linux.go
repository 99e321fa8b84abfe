package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-shipper/shipper/lab/wsman"
)

// process is one command and its agent.
type process struct {
	agent          *exec.Cmd
	stdin          *os.File
	stdout, stderr *output
	theirs         []*os.File // the agent's ends of the pipes
	conn           net.Conn
	reports        *json.Decoder
	gone           chan struct{} // closed when the agent has ended
	killed         sync.Once
}

// widen gives a pipe room for a whole Send: the endpoint answers when the data
// is in the pipe, as Windows does, and not when the program has read it.
func widen(f *os.File) {
	const room = 1 << 20
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, room) // less room is only slower
	})
}

func newProcess(agent *exec.Cmd) (*process, error) {
	p := &process{agent: agent, gone: make(chan struct{})}
	var files []*os.File
	for range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("make pipes: %w", err)
		}
		files = append(files, r, w)
	}
	widen(files[1])
	p.stdin, p.stdout, p.stderr = files[1], &output{files[2]}, &output{files[4]}
	p.theirs = []*os.File{files[0], files[3], files[5]}
	agent.Stdin, agent.Stdout, agent.Stderr = files[0], files[3], files[5]
	return p, nil
}

// begin gives the order and hears whether the command runs.
func (p *process) begin(o order) error {
	if err := json.NewEncoder(p.conn).Encode(o); err != nil {
		return fmt.Errorf("give order: %w", err)
	}
	p.reports = json.NewDecoder(bufio.NewReader(p.conn))
	var r report
	if err := p.reports.Decode(&r); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	switch {
	case r.Started:
		return nil
	case r.Code == 2, r.Code == 3:
		return wsman.ErrNoFile
	}
	return &unborn{r.Code, r.Error}
}

func (p *process) Stdin() io.WriteCloser { return p.stdin }
func (p *process) Stdout() io.Reader     { return p.stdout }
func (p *process) Stderr() io.Reader     { return p.stderr }

// Wait returns when the command itself has ended. What it left running in the
// background lives until Kill.
func (p *process) Wait() (uint32, error) {
	var r report
	err := p.reports.Decode(&r)
	_ = p.stdin.Close() // who still writes gets an error, as from a broken pipe
	p.stdout.finish()
	p.stderr.finish()
	if err != nil {
		return 1, fmt.Errorf("the command was ended: %w", err)
	}
	return r.Exit, nil
}

// Kill hangs up on the agent, which ends with its whole job.
func (p *process) Kill() {
	p.killed.Do(func() {
		if p.conn != nil {
			p.conn.Close()
		}
		go func() {
			select {
			case <-p.gone:
			case <-time.After(5 * time.Second):
				_ = p.agent.Process.Kill() // the job's handle goes with it
				<-p.gone
			}
			p.release()
		}()
	})
}

func (p *process) release() {
	p.stdin.Close()
	p.stdout.file.Close()
	p.stderr.file.Close()
}

// output reads a pipe whose other end may outlive the command, because
// Wine's processes keep it: after finish it gives what is in the pipe, and
// then the end.
type output struct{ file *os.File }

func (o *output) finish() { _ = o.file.SetReadDeadline(time.Unix(1, 0)) }

func (o *output) Read(b []byte) (int, error) {
	n, err := o.file.Read(b)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	raw, err := o.file.SyscallConn()
	if err != nil {
		return 0, io.EOF
	}
	n = 0
	err = raw.Control(func(fd uintptr) { n, _ = syscall.Read(int(fd), b) }) // the descriptor does not block
	if err != nil || n <= 0 {
		return 0, io.EOF
	}
	return n, nil
}
