//go:build !windows

package ssh_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/transport"
	"github.com/go-shipper/shipper/transport/ssh"
)

// server is an OpenSSH server of this machine's, on a port of its own, with
// no other configuration than the test's.
type server struct {
	config      ssh.Config
	lockedKey   []byte // the same account, by a key with a passphrase
	fingerprint string
}

const sshd = "/usr/sbin/sshd" // wants to be named in full

func startServer(t *testing.T) *server {
	t.Helper()
	if _, err := os.Stat(sshd); err != nil {
		if testing.Short() {
			t.Skip("needs an OpenSSH server: openssh-server")
		}
		t.Fatal("needs an OpenSSH server: openssh-server")
	}
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	hostKey, print := newKey(t, "host", "")
	key, _ := newKey(t, "key", "")
	locked, _ := newKey(t, "locked", "opens it")
	h := &server{lockedKey: []byte(read(t, locked)), fingerprint: print}
	write(t, filepath.Join(dir, "authorized"), read(t, key+".pub")+read(t, locked+".pub"))
	for try := 0; ; try++ {
		port := ports.Free(t)
		conf := filepath.Join(dir, "sshd_config")
		write(t, conf, fmt.Sprintf("Port %d\nListenAddress 127.0.0.1\nHostKey %s\nAuthorizedKeysFile %s\nPidFile none\n"+
			"StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nMaxStartups 100\n%s", port, hostKey, filepath.Join(dir, "authorized"), job()))
		if h.start(t, conf) {
			h.config = ssh.Config{
				Host: "web1", Address: "127.0.0.1", Port: port, User: who.Username, Key: []byte(read(t, key)), KnownHosts: filepath.Join(dir, "known_hosts"),
				DialTimeout: time.Minute, Silence: 2 * time.Minute, // however busy the machine
			}
			write(t, h.config.KnownHosts, h.knownLine(t, hostKey+".pub"))
			return h
		}
		if try == 5 {
			t.Fatal("no port for the server")
		}
	}
}

// job lets a program and all that it started end with its connection, as a
// job object does on Windows. Without root's rights the server's signals do
// that; it has none for sessions of root.
func job() string {
	if os.Geteuid() != 0 {
		return ""
	}
	return `ForceCommand exec setpriv --pdeathsig KILL unshare --pid --fork --kill-child sh -c "$SSH_ORIGINAL_COMMAND"` + "\n"
}

// start returns when the server listens, or ended because it cannot.
func (h *server) start(t *testing.T, conf string) bool {
	t.Helper()
	if os.Geteuid() == 0 { // where it puts its unprivileged half
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(sshd, "-D", "-e", "-f", conf)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "Server listening on") {
			var drained sync.WaitGroup
			drained.Go(func() { _, _ = io.Copy(io.Discard, out) })
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				drained.Wait()
				_ = cmd.Wait() // it was killed
			})
			return true
		}
		t.Log(lines.Text())
	}
	_ = cmd.Wait() // its words are in the log
	return false
}

func (h *server) dial(t *testing.T, cfg ssh.Config) transport.Conn {
	t.Helper()
	c, err := ssh.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (h *server) knownLine(t *testing.T, public string) string {
	return fmt.Sprintf("[127.0.0.1]:%d %s", h.config.Port, read(t, public))
}

// newKey makes a key pair and returns its file and fingerprint.
func newKey(t *testing.T, name, passphrase string) (file, fingerprint string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	out, err := exec.Command("ssh-keygen", "-l", "-f", file+".pub").Output()
	if err != nil {
		t.Fatal(err)
	}
	return file, strings.Fields(string(out))[1]
}

// echoPort is a server that answers with something that is no SSH.
func echoPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// wall passes bytes on until it is told to swallow them.
type wall struct {
	port   int
	mu     sync.Mutex
	silent bool
}

func startWall(t *testing.T, to int) *wall {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wall{port: l.Addr().(*net.TCPAddr).Port}
	var conns sync.WaitGroup
	t.Cleanup(func() { l.Close(); conns.Wait() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
			if err != nil {
				near.Close()
				return
			}
			conns.Go(func() { w.pass(far, near); far.Close() })
			conns.Go(func() { w.pass(near, far); near.Close() })
		}
	}()
	return w
}

func (w *wall) pass(to io.Writer, from io.Reader) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		if !w.silent {
			_, err = to.Write(b[:n])
		}
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (w *wall) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = true
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
