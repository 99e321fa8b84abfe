//go:build linux

package wsman_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
)

const (
	user     = "Administrator"
	password = "Passw0rd!"
)

// shell runs command lines by /bin/sh, each in a process group of its own.
type shell struct{}

type group struct {
	cmd            *exec.Cmd
	stdin          io.WriteCloser
	stdout, stderr *os.File
	once           sync.Once
}

func (shell) Start(_ context.Context, c wsman.Command) (wsman.Process, error) {
	cmd := exec.Command("/bin/sh", "-c", c.Line)
	if c.Direct {
		cmd = exec.Command(c.Line)
	}
	cmd.Dir, cmd.Env = c.Dir, append(os.Environ(), c.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g := &group{cmd: cmd}
	var err error
	if g.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer outW.Close()
	defer errW.Close()
	cmd.Stdout, cmd.Stderr, g.stdout, g.stderr = outW, errW, outR, errR
	if err := cmd.Start(); errors.Is(err, os.ErrNotExist) {
		return nil, wsman.ErrNoFile
	} else if err != nil {
		return nil, err
	}
	return g, nil
}

func (g *group) Stdin() io.WriteCloser { return g.stdin }
func (g *group) Stdout() io.Reader     { return g.stdout }
func (g *group) Stderr() io.Reader     { return g.stderr }
func (g *group) Kill()                 { g.once.Do(func() { _ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL) }) }

func (g *group) Wait() (uint32, error) {
	err := g.cmd.Wait()
	if _, ended := err.(*exec.ExitError); err != nil && !ended {
		return 1, err
	}
	return uint32(g.cmd.ProcessState.ExitCode()), nil
}

// service is a running server and a client for it.
type service struct {
	*wsman.Server
	http, https string // host:port
	caFile      string
	client      *http.Client
}

func start(t *testing.T, limits wsman.Limits) *service {
	return startAs(t, wsman.Config{Limits: limits})
}

// startAs fills in what all tests have in common.
func startAs(t *testing.T, config wsman.Config) *service {
	t.Helper()
	certificate, caFile := certificate(t)
	config.Runner, config.Computer, config.Certificate, config.Logf = shell{}, "HOST1", certificate, t.Logf
	config.Password = func(name string) (string, bool) { return password, strings.EqualFold(name, user) }
	s := &service{caFile: caFile, Server: wsman.New(config)}
	var done sync.WaitGroup
	listen := func(serve func(net.Listener) error) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done.Go(func() {
			if err := serve(l); err != nil {
				t.Error(err)
			}
		})
		return l.Addr().String()
	}
	s.http, s.https = listen(s.Serve), listen(s.ServeTLS)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} // the certificate is made above
	s.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.Close()
		done.Wait()
	})
	return s
}

func certificate(t *testing.T) (*tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// message is one request; ask fills in the envelope around it.
type message struct {
	action, resource, header, body string
	shell                          string
	timeout                        string
}

const (
	transfer  = "http://schemas.xmlsoap.org/ws/2004/09/transfer/"
	shellURI  = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
	configURI = "http://schemas.microsoft.com/wbem/wsman/1/config"
)

func (m message) envelope() string {
	if m.resource == "" {
		m.resource = shellURI + "/cmd"
	}
	if m.timeout == "" {
		m.timeout = "PT20S"
	}
	if m.shell != "" {
		m.header += `<w:SelectorSet><w:Selector Name="ShellId">` + m.shell + `</w:Selector></w:SelectorSet>`
	}
	return `<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" ` +
		`xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" xmlns:rsp="` + shellURI + `"><s:Header><a:MessageID>uuid:ONE</a:MessageID><a:Action>` + m.action +
		`</a:Action><w:ResourceURI>` + m.resource + `</w:ResourceURI><w:OperationTimeout>` + m.timeout + `</w:OperationTimeout>` + m.header + `</s:Header><s:Body>` + m.body + `</s:Body></s:Envelope>`
}

// post sends a body over HTTPS with Basic and returns what came back.
func (s *service) post(t *testing.T, body string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "https://"+s.https+"/wsman", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	r.Header.Set("Content-Type", "application/soap+xml;charset=UTF-8")
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(b)
}

var faultCode = regexp.MustCompile(`WSManFault [^>]*Code="(\d+)"`)

// ask returns the reply and its fault code, "" if there is none.
func (s *service) ask(t *testing.T, m message) (reply, code string) {
	t.Helper()
	response, reply := s.post(t, m.envelope())
	found := faultCode.FindStringSubmatch(reply)
	switch {
	case response.StatusCode == http.StatusOK && found == nil:
		return reply, ""
	case response.StatusCode == http.StatusInternalServerError && found != nil:
		return reply, found[1]
	}
	t.Fatalf("%s: %s", response.Status, reply)
	return "", ""
}

func (s *service) must(t *testing.T, m message) string {
	t.Helper()
	reply, code := s.ask(t, m)
	if code != "" {
		t.Fatalf("fault %s: %s", code, reply)
	}
	return reply
}

func find(t *testing.T, pattern, in string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(in)
	if found == nil {
		t.Fatalf("no %s in %s", pattern, in)
	}
	return found[1]
}

func create(body string) message {
	return message{action: transfer + "Create", body: `<rsp:Shell>` + body + `<rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>`}
}

func (s *service) open(t *testing.T, body string) string {
	t.Helper()
	return find(t, `<w:Selector Name="ShellId">([^<]+)`, s.must(t, create(body)))
}

func command(shell, line string, options ...string) message {
	m := message{action: shellURI + "/Command", shell: shell, body: `<rsp:CommandLine><rsp:Command>` + line + `</rsp:Command></rsp:CommandLine>`}
	m.header = `<w:OptionSet><w:Option Name="WINRS_CONSOLEMODE_STDIN">FALSE</w:Option></w:OptionSet>`
	if len(options) > 0 {
		m.header = `<w:OptionSet>` + strings.Join(options, "") + `</w:OptionSet>`
	}
	return m
}

func (s *service) run(t *testing.T, shell, line string) string {
	t.Helper()
	return find(t, `<rsp:CommandId>([^<]+)`, s.must(t, command(shell, line)))
}

func send(shell, id string, data []byte, end bool) message {
	return message{action: shellURI + "/Send", shell: shell, body: fmt.Sprintf(`<rsp:Send><rsp:Stream Name="stdin" CommandId="%s" End="%v">%s</rsp:Stream></rsp:Send>`,
		id, end, base64.StdEncoding.EncodeToString(data))}
}

func receive(shell, id, timeout string) message {
	return message{action: shellURI + "/Receive", shell: shell, timeout: timeout, body: `<rsp:Receive><rsp:DesiredStream CommandId="` + id + `">stdout stderr</rsp:DesiredStream></rsp:Receive>`}
}

func signal(shell, id, code string) message {
	return message{action: shellURI + "/Signal", shell: shell, body: `<rsp:Signal CommandId="` + id + `"><rsp:Code>` + shellURI + `/signal/` + code + `</rsp:Code></rsp:Signal>`}
}

// stdoutOf collects what a reply carries of stdout.
func stdoutOf(t *testing.T, reply string) (out []byte) {
	t.Helper()
	for {
		_, after, ok := strings.Cut(reply, `<rsp:Stream Name="stdout" `)
		if !ok {
			return out
		}
		_, after, _ = strings.Cut(after, ">")
		text, rest, _ := strings.Cut(after, "<")
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		out, reply = append(out, b...), rest
	}
}

// output receives until the command is done.
func (s *service) output(t *testing.T, shell, id string) (stdout []byte, exit string) {
	t.Helper()
	var all bytes.Buffer
	for {
		reply := s.must(t, receive(shell, id, ""))
		all.Write(stdoutOf(t, reply))
		if strings.Contains(reply, "CommandState/Done") {
			return all.Bytes(), find(t, `<rsp:ExitCode>(\d+)<`, reply)
		}
	}
}
