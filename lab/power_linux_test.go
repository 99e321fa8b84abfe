package lab

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/problem"
)

func TestPowerCut(t *testing.T) {
	l := up(t, Options{})
	program(t, l, "host1")
	for _, line := range []string{
		`sc create auto binPath= "C:\p.exe service" start= auto`,
		`sc create manual binPath= "C:\p.exe service" start= demand`,
		`sc start auto`, `sc start manual`,
		`reg add HKLM\Software\Lab /v kept /d yes /f`,
	} {
		if exit, out := execute(t, l, line, nil); exit != 0 {
			t.Fatalf("%s: exit %d: %s", line, exit, out)
		}
	}
	_, before := processes(l.Prefix("host1"))
	address := net.JoinHostPort(l.Hosts()[0].Address, "5985")
	rebooted := make(chan error, 1)
	go func() { rebooted <- l.Reboot(context.Background(), "host1", 4*time.Second) }()
	eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if err := <-rebooted; err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	_, after := processes(l.Prefix("host1"))
	for _, pid := range before {
		for _, now := range after {
			if pid == now {
				t.Errorf("process %d has survived", pid)
			}
		}
	}
	eventually(t, func() bool {
		_, out := execute(t, l, "sc query auto", nil)
		return strings.Contains(out, "RUNNING")
	})
	if _, out := execute(t, l, "sc query manual", nil); !strings.Contains(out, "STOPPED") {
		t.Errorf("the manual service: %s", out)
	}
	if _, out := execute(t, l, `type C:\starts.txt`, nil); strings.Fields(out)[0] != "auto" || strings.Count(out, "auto") != 2 || strings.Count(out, "manual") != 1 {
		t.Errorf("starts: %q", out)
	}
	if _, out := execute(t, l, `reg query HKLM\Software\Lab /v kept`, nil); !strings.Contains(out, "yes") {
		t.Errorf("the registry lost: %q", out)
	}
}

func TestLabsSideBySide(t *testing.T) {
	dir := t.TempDir()
	one := up(t, Options{Dir: dir, Name: "one", Hosts: 2})
	two := up(t, Options{Dir: dir, Name: "two"})
	if one.state.Network.Index == two.state.Network.Index {
		t.Error("both have the same subnet")
	}
	if _, err := Up(t.Context(), Options{Dir: dir, Name: "one"}); problem.HintOf(err) == "" {
		t.Errorf("a second lab of the same name: %v", err)
	}
	labs, err := List(dir)
	if err != nil || len(labs) != 2 || !labs[0].Running || len(labs[0].Hosts) != 2 || labs[1].Name != "two" {
		t.Errorf("list: %+v, %v", labs, err)
	}
	again, err := Open(t.Context(), dir, "two")
	if err != nil {
		t.Fatal(err)
	}
	if exit, out := execute(t, again, "echo %COMPUTERNAME%", nil); exit != 0 || os.Geteuid() == 0 && out != "HOST1\r\n" {
		t.Errorf("opened again: exit %d, %q", exit, out)
	}
}

func TestLabThatDied(t *testing.T) {
	l := up(t, Options{})
	pid := l.daemonPID("host1")
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return !l.alive() })
	if labs, err := List(filepath.Dir(filepath.Dir(l.dir))); err != nil || len(labs) != 1 || labs[0].Running {
		t.Errorf("list: %+v, %v", labs, err)
	}
	_, left := processes(l.Prefix("host1"))
	again := up(t, Options{Dir: filepath.Dir(filepath.Dir(l.dir))})
	for _, pid := range left {
		if syscall.Kill(pid, 0) == nil {
			line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
			if len(line) > 0 {
				t.Errorf("process %d of the dead lab runs: %s", pid, line)
			}
		}
	}
	if exit, _ := execute(t, again, "ver", nil); exit != 0 {
		t.Errorf("exit %d", exit)
	}
}

func TestTemporaryLabEndsWithItsOwner(t *testing.T) {
	needWine(t)
	dir := t.TempDir()
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), "LAB_TEST_OWNER="+dir)
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	l, err := Open(t.Context(), dir, "owned")
	if err != nil {
		t.Fatalf("%v, the owner said %q", err, line)
	}
	t.Cleanup(func() { down(t, l) })
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	eventually(t, func() bool {
		_, err := os.Stat(l.dir)
		return errors.Is(err, fs.ErrNotExist)
	})
}

func TestCancelledUp(t *testing.T) {
	needWine(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Up(ctx, Options{Dir: dir, Hosts: 2, Log: func(line string) {
		if strings.HasPrefix(line, "starting") {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "labs")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestHostThatIsOff(t *testing.T) {
	l := up(t, Options{})
	rebooted := make(chan error, 1)
	go func() { rebooted <- l.Reboot(context.Background(), "host1", 5*time.Second) }()
	eventually(t, func() bool {
		_, err := l.Exec(t.Context(), "host1", "ver", nil, &bytes.Buffer{}, &bytes.Buffer{})
		return err != nil && strings.Contains(err.Error(), errOff.Error())
	})
	if err := <-rebooted; err != nil {
		t.Fatal(err)
	}
	if exit, _ := execute(t, l, "ver", nil); exit != 0 {
		t.Errorf("exit %d", exit)
	}
}
