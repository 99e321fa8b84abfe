//go:build linux

package krb5

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/lab/kdctest"
)

const (
	service  = "HTTP/web1.example.test"
	python   = "/usr/bin/python3" // Debian's own: others do not see its packages
	password = "pässword & more"
)

// realm is a KDC with an account and a service.
type realm struct {
	*kdctest.KDC
	keytab string
	config []byte
}

func startRealm(t *testing.T, o kdctest.Options) *realm {
	t.Helper()
	k := kdctest.Start(t, o)
	k.AddUser("alice", password)
	return &realm{KDC: k, keytab: k.Keytab(service), config: read(t, k.Config)}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// peer is MIT's GSS-API as the service.
type peer struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

func (r *realm) peer(t *testing.T) *peer {
	t.Helper()
	if err := exec.Command(python, "-c", "import gssapi").Run(); err != nil {
		t.Skip("Python's gssapi is not installed: apt-get install python3-gssapi")
	}
	cmd := exec.Command(python, filepath.Join("testdata", "peer.py"))
	cmd.Env = append(r.Env(), "KRB5_KTNAME="+r.keytab, "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	return &peer{t, in, bufio.NewReader(out)}
}

// ask gives the peer's answer, or what it complained about.
func (p *peer) ask(name string, parts ...[]byte) ([][]byte, error) {
	p.t.Helper()
	line := name
	for _, b := range parts {
		line += " " + shown(b)
	}
	fmt.Fprintln(p.in, line)
	answer, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatal(err)
	}
	words := strings.Fields(answer)
	if words[0] != "ok" {
		return nil, fmt.Errorf("%s: %s", name, answer)
	}
	var out [][]byte
	for _, w := range words[1:] {
		b, err := hex.DecodeString(strings.Replace(w, "-", "", 1))
		if err != nil {
			p.t.Fatal(err)
		}
		out = append(out, b)
	}
	return out, nil
}

func shown(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}

func (p *peer) must(name string, parts ...[]byte) [][]byte {
	p.t.Helper()
	out, err := p.ask(name, parts...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

func (r *realm) login(t *testing.T, c Credentials) *Login {
	t.Helper()
	c.Config = r.config
	l, err := NewLogin(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (r *realm) alice(t *testing.T) *Login {
	return r.login(t, Credentials{User: "alice", Password: password})
}

// connect logs on to the peer.
func (p *peer) connect(l *Login, scheme string) *Session {
	p.t.Helper()
	i, err := l.Initiate(p.t.Context(), service, nil, scheme == "negotiate")
	if err != nil {
		p.t.Fatal(err)
	}
	answer := p.must("accept "+scheme, i.Token(), nil)
	if who := string(answer[1]); who != "alice@"+kdctest.Realm {
		p.t.Errorf("the peer sees %q", who)
	}
	s, err := i.Finish(answer[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}
