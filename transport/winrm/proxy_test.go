//go:build linux

package winrm

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/lab/wsman"
	"github.com/go-shipper/shipper/transport"
)

// startProxy runs tinyproxy, which tunnels to the given ports only and wants
// a password.
func startProxy(t *testing.T, tunnels ...int) (address string, log func() string) {
	t.Helper()
	if _, err := exec.LookPath("tinyproxy"); err != nil {
		t.Skip("tinyproxy is not installed: apt-get install tinyproxy")
	}
	port, dir := ports.Free(t), t.TempDir()
	address = net.JoinHostPort("127.0.0.1", portText(port))
	config := fmt.Sprintf("Port %d\nListen 127.0.0.1\nTimeout 60\nLogFile %q\nLogLevel Connect\nBasicAuth agent secret\n", port, filepath.Join(dir, "log"))
	for _, p := range tunnels {
		config += fmt.Sprintf("ConnectPort %d\n", p)
	}
	file := filepath.Join(dir, "tinyproxy.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tinyproxy", "-d", "-c", file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	poll(t, "the proxy", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return address, func() string {
		b, _ := os.ReadFile(filepath.Join(dir, "log"))
		return string(b)
	}
}

func byProxy(u *url.URL) func(*url.URL) (*url.URL, error) {
	return func(*url.URL) (*url.URL, error) { return u, nil }
}

func TestByProxy(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	address, log := startProxy(t, h.http.Port, h.https.Port)
	proxy := &url.URL{Scheme: "http", Host: address, User: url.UserPassword("agent", "secret")}
	for name, cfg := range h.configs() {
		t.Run(name, func(t *testing.T) {
			cfg.Proxy = byProxy(proxy)
			c := dial(t, cfg)
			defer c.Close()
			if r, err := c.Run(t.Context(), "exit 3", nil); err != nil || r.Exit != 3 {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	if !strings.Contains(log(), "CONNECT 127.0.0.1:"+portText(h.http.Port)) {
		t.Errorf("the proxy saw nothing: %s", log())
	}
}

func TestProxyThatRefuses(t *testing.T) {
	h := startHost(t, wsman.Limits{})
	address, _ := startProxy(t, h.https.Port)
	closed := ports.Address(t)
	right := url.UserPassword("agent", "secret")
	for name, u := range map[string]*url.URL{
		"a port it does not tunnel to": {Scheme: "http", Host: address, User: right},
		"a wrong password":             {Scheme: "http", Host: address, User: url.UserPassword("agent", "wrong")},
		"no password":                  {Scheme: "http", Host: address},
		"nobody there":                 {Scheme: "http", Host: closed},
		"no HTTP proxy":                {Scheme: "socks5", Host: address},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := h.http
			cfg.Proxy, cfg.RetryDelay = byProxy(u), time.Millisecond
			_, err := Dial(t.Context(), cfg)
			if e := denied(t, err, transport.Unreachable, hintProxy); strings.Contains(e.Error(), "secret") || strings.Contains(e.Error(), "wrong") {
				t.Errorf("a password is in %q", e)
			}
		})
	}
}
