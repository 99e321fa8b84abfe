// Command agent starts one command inside of a lab host, as winrshost.exe
// does on Windows: in a job object that ends with it, with the raw command
// line and the full exit code. It is started by the host's daemon with the
// command's own stdin, stdout and stderr, and is told the rest over a
// connection to the daemon: when that ends, the job ends.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"unsafe"
)

// order is what the daemon asks for; report is what it hears. Both are one
// line of JSON; lab/runner.go has the other end.
type order struct {
	Line, Dir string
	Env       []string
	Direct    bool
}

type report struct {
	Started bool   `json:",omitempty"`
	Exit    uint32 `json:",omitempty"`
	Code    uint32 `json:",omitempty"` // why it could not be started
	Error   string `json:",omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lab agent:", err)
		os.Exit(1)
	}
}

func run() error {
	address, token := os.Getenv("SHIPPER_LAB_AGENT"), os.Getenv("SHIPPER_LAB_TOKEN")
	os.Unsetenv("SHIPPER_LAB_AGENT")
	os.Unsetenv("SHIPPER_LAB_TOKEN")
	daemon, err := net.Dial("tcp", address)
	if err != nil {
		return fmt.Errorf("connect to the daemon: %w", err)
	}
	fmt.Fprintln(daemon, token)
	in := bufio.NewReader(daemon)
	var o order
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	if err := json.Unmarshal(line, &o); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	if err := enterJob(); err != nil {
		return err
	}
	return serve(o, in, json.NewEncoder(daemon))
}

// serve runs the command, reports, and then holds the job open for what the
// command left running in the background, until the daemon hangs up.
func serve(o order, in *bufio.Reader, out *json.Encoder) error {
	cmd := command(o)
	if err := cmd.Start(); err != nil {
		return out.Encode(report{Code: code(err), Error: err.Error()})
	}
	if err := out.Encode(report{Started: true}); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, f := range []*os.File{os.Stdin, os.Stdout, os.Stderr} {
		_ = f.Close() // they are the command's alone now
	}
	exited := make(chan report, 1)
	go func() {
		_ = cmd.Wait() // the exit code says it all
		exited <- report{Exit: uint32(cmd.ProcessState.ExitCode())}
	}()
	hungUp := make(chan struct{})
	go func() {
		_, _ = in.ReadByte() // only ever ends
		close(hungUp)
	}()
	select {
	case r := <-exited:
		if err := out.Encode(r); err != nil {
			return fmt.Errorf("report: %w", err)
		}
		<-hungUp
	case <-hungUp:
	}
	return nil
}

// command keeps the line as it is: Go's own quoting is not cmd.exe's.
func command(o order) *exec.Cmd {
	shell := os.Getenv("ComSpec")
	dir := o.Dir
	if dir == "" {
		dir = os.Getenv("USERPROFILE") // where a logon begins
	}
	cmd := &exec.Cmd{Path: shell, Dir: dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: shell + ` /s /c "` + o.Line + `"`}
	if o.Direct {
		cmd.Path = program(o.Line)
		cmd.SysProcAttr.CmdLine = o.Line
	}
	cmd.Env = append(os.Environ(), o.Env...)
	return cmd
}

// program is the first word of a command line.
func program(line string) string {
	if rest, ok := strings.CutPrefix(line, `"`); ok {
		path, _, _ := strings.Cut(rest, `"`)
		return path
	}
	path, _, _ := strings.Cut(line, " ")
	return path
}

func code(err error) uint32 {
	var number syscall.Errno
	if errors.As(err, &number) {
		return uint32(number)
	}
	return 1
}

// enterJob puts this process into a new job that dies with its last handle:
// ours. Everything started from here on belongs to it.
func enterJob() error {
	const (
		extendedLimits = 9      // JobObjectExtendedLimitInformation
		killOnClose    = 0x2000 // JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
		breakawayOK    = 0x0800 // JOB_OBJECT_LIMIT_BREAKAWAY_OK, as WinRM's own job
	)
	kernel := syscall.NewLazyDLL("kernel32.dll")
	job, _, err := kernel.NewProc("CreateJobObjectW").Call(0, 0)
	if job == 0 {
		return fmt.Errorf("create job: %w", err)
	}
	var limits [144]byte // JOBOBJECT_EXTENDED_LIMIT_INFORMATION; LimitFlags at 16
	*(*uint32)(unsafe.Pointer(&limits[16])) = killOnClose | breakawayOK
	ok, _, err := kernel.NewProc("SetInformationJobObject").Call(job, extendedLimits, uintptr(unsafe.Pointer(&limits[0])), unsafe.Sizeof(limits))
	if ok == 0 {
		return fmt.Errorf("configure job: %w", err)
	}
	ok, _, err = kernel.NewProc("AssignProcessToJobObject").Call(job, ^uintptr(0)) // -1 is this process
	if ok == 0 {
		return fmt.Errorf("enter job: %w", err)
	}
	return nil
}
