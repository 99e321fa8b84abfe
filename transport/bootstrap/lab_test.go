//go:build linux

package bootstrap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/transporttest"
	"github.com/go-shipper/shipper/transport/winrm"
)

func TestMain(m *testing.M) {
	lab.Serve()
	os.Exit(m.Run())
}

// TestWineHost goes the whole way to a Windows host of the lab: contract,
// bare host, helper, pipe.
func TestWineHost(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a Wine host")
	}
	l, err := lab.Up(t.Context(), lab.Options{Name: fmt.Sprintf("transport-%d", os.Getpid()), Log: func(s string) { t.Log(s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	host := l.Hosts()[0]
	exe := transporttest.Build(t, "windows", "amd64")
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(drive(l, host, "t"), 0o755), os.WriteFile(drive(l, host, "t", "probe.exe"), b, 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Run("contract", func(t *testing.T) { contract(t, l, host) })
	t.Run("helper", func(t *testing.T) { helper(t, l, host, NewHelper(b, "windows", "amd64")) })
	t.Run("throughput", func(t *testing.T) { throughput(t, host) })
}

func dialLab(t *testing.T, h lab.Host, https bool) transport.Conn {
	t.Helper()
	cfg := winrm.Config{Host: h.Name, Address: h.Address, Port: h.HTTPPort, User: h.User, Password: h.Password,
		// A Send that times out comes twice, and so it may: not here, however slow.
		OperationTimeout: time.Minute, Grace: time.Minute, Liveness: 5 * time.Minute, DialTimeout: time.Minute}
	if https {
		cfg.HTTPS, cfg.Port, cfg.CAFile, cfg.Auth = true, h.HTTPSPort, h.CAFile, winrm.AuthBasic
	}
	c, err := winrm.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func drive(l *lab.Lab, h lab.Host, path ...string) string {
	return filepath.Join(append([]string{l.Prefix(h.Name), "drive_c"}, path...)...)
}

func contract(t *testing.T, l *lab.Lab, h lab.Host) {
	transporttest.Run(t, transporttest.Host{
		Dial:  func(t *testing.T) transport.Conn { return dialLab(t, h, false) },
		Probe: `C:\t\probe.exe`, Temp: `C:\t`,
		Read: func(file string) ([]byte, error) {
			return os.ReadFile(drive(l, h, strings.FieldsFunc(file[2:], func(r rune) bool { return r == '\\' || r == '/' })...))
		},
	})
}

func helper(t *testing.T, l *lab.Lab, h lab.Host, program *Helper) {
	c := dialLab(t, h, true)
	defer c.Close()
	if _, err := Locate(t.Context(), c, program.digest, Options{}); !errors.Is(err, ErrMissing) {
		t.Fatalf("bare host: %v", err)
	}
	for _, installed := range []bool{true, false} {
		start := time.Now()
		p, err := Ensure(t.Context(), c, program, Options{})
		if err != nil || p.Installed != installed {
			t.Fatalf("%+v, %v", p, err)
		}
		t.Logf("installed %t in %s, %d kB pushed", installed, time.Since(start).Round(time.Millisecond), len(program.archive())/1000)
	}
	p, err := Locate(t.Context(), c, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(drive(l, h, "Program Files", "shipper", "bin", ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	roundTrip(t, c, p.Serve)
	damage(t, l, h, c, program)
	if err := os.RemoveAll(drive(l, h, "Program Files", "shipper")); err != nil {
		t.Fatal(err)
	}
	byCertutil, err := Ensure(t.Context(), c, program, Options{Allow: []string{WayCertutil}})
	if err != nil || !byCertutil.Installed {
		t.Errorf("by certutil: %+v, %v", byCertutil, err)
	}
}

func roundTrip(t *testing.T, c transport.Conn, serve string) {
	t.Helper()
	pipe, err := c.Pipe(t.Context(), serve)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if _, err := pipe.Write([]byte("are you there?\n")); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(pipe).ReadString('\n'); err != nil || line != "are you there?\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// damage changes the helper on the host; it must not be started, but replaced.
func damage(t *testing.T, l *lab.Lab, h lab.Host, c transport.Conn, program *Helper) {
	t.Helper()
	file := drive(l, h, "Program Files", "shipper", "bin", string(program.digest), "shipper-host.exe")
	if err := os.WriteFile(file, []byte("MZ, but not for long"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Locate(t.Context(), c, program.digest, Options{}); !errors.Is(err, ErrMissing) {
		t.Errorf("located a damaged helper: %v", err)
	}
	if p, err := Ensure(t.Context(), c, program, Options{}); err != nil || !p.Installed {
		t.Errorf("replace: %+v, %v", p, err)
	}
}

func throughput(t *testing.T, h lab.Host) {
	const size = 32 << 20
	for _, https := range []bool{false, true} {
		c := dialLab(t, h, https)
		defer c.Close()
		p, err := c.Pipe(t.Context(), fmt.Sprintf(`C:\t\probe.exe sink %d`, size))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		start, block := time.Now(), make([]byte, p.MaxWrite())
		for left := size; left > 0; left -= len(block) {
			if _, err := p.Write(block[:min(left, len(block))]); err != nil {
				t.Fatal(err)
			}
		}
		line, err := bufio.NewReader(p).ReadString('\n')
		if strings.TrimSpace(line) != fmt.Sprint(size) {
			t.Fatalf("%q, %v", line, err)
		}
		t.Logf("https %t: %.1f MB/s, %d bytes in a Write", https, float64(size)/1e6/time.Since(start).Seconds(), len(block))
	}
}
