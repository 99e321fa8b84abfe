//go:build linux

package wsman_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-shipper/shipper/lab/wsman"
)

func TestCommandFromStartToEnd(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, `<rsp:Environment><rsp:Variable Name="WHO">you</rsp:Variable></rsp:Environment><rsp:IdleTimeOut>PT180.5S</rsp:IdleTimeOut>`)
	reply := s.must(t, message{action: transfer + "Get", shell: shell})
	for _, want := range []string{"<rsp:ShellId>" + shell, "<rsp:Owner>" + user, "<rsp:IdleTimeOut>PT180.500S", "<a:RelatesTo>uuid:ONE</a:RelatesTo>"} {
		if !strings.Contains(reply, want) {
			t.Errorf("no %s in %s", want, reply)
		}
	}
	id := s.run(t, shell, `echo "hello $WHO"; echo bad &gt;&amp;2; exit 42`)
	stdout, exit := s.output(t, shell, id)
	if string(stdout) != "hello you\n" || exit != "42" {
		t.Errorf("stdout %q, exit %s", stdout, exit)
	}
	s.must(t, signal(shell, id, "terminate"))
	if _, code := s.ask(t, receive(shell, id, "")); code != "2150858843" {
		t.Errorf("receive after terminate: %s", code)
	}
	s.must(t, message{action: transfer + "Delete", shell: shell})
	if _, code := s.ask(t, message{action: transfer + "Get", shell: shell}); code != "2150858843" {
		t.Errorf("get after delete: %s", code)
	}
}

func TestBinaryStdin(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	id := s.run(t, shell, "cat")
	data := make([]byte, 10<<20)
	_, _ = rand.Read(data)
	received := make(chan []byte)
	go func() {
		out, _ := s.output(t, shell, id)
		received <- out
	}()
	const piece = 379000
	for n := 0; n < len(data); n += piece {
		s.must(t, send(shell, id, data[n:min(n+piece, len(data))], n+piece >= len(data)))
	}
	if got := <-received; sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("%d bytes came back, not the same %d", len(got), len(data))
	}
}

func TestConsoleStdinIsNoPipe(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	reply := s.must(t, command(shell, "head -c 8", `<w:Option Name="WINRS_CONSOLEMODE_STDIN">TRUE</w:Option>`))
	id := find(t, `<rsp:CommandId>([^<]+)`, reply)
	s.must(t, send(shell, id, []byte("a\x00\nb\xff\x1a"), true))
	if _, code := s.ask(t, receive(shell, id, "PT0.2S")); code != "2150858793" {
		t.Errorf("the end of stdin arrived, or data did: %s", code)
	}
	s.must(t, send(shell, id, []byte("rest"), false))
	if out, _ := s.output(t, shell, id); string(out) != "a\r\nb?res" {
		t.Errorf("stdin arrived as %q", out)
	}
}

func TestRefusedEnvelopes(t *testing.T) {
	s := start(t, wsman.Limits{EnvelopeKB: 150})
	shell := s.open(t, "")
	id := s.run(t, shell, "cat")
	for name, test := range map[string]struct {
		m    message
		code string
	}{
		"unknown shell":       {message{action: transfer + "Get", shell: "NO"}, "2150858843"},
		"unknown command":     {receive(shell, "NO", ""), "2150858843"},
		"nothing to receive":  {receive(shell, id, "PT0.05S"), "2150858793"},
		"receive of no one":   {message{action: shellURI + "/Receive", shell: shell, body: `<rsp:Receive><rsp:DesiredStream>stdout</rsp:DesiredStream></rsp:Receive>`}, "87"},
		"negative timeout":    {message{action: transfer + "Get", shell: shell, timeout: "PT-1S"}, "2150858767"},
		"unknown action":      {message{action: transfer + "Put", shell: shell}, "2150858753"},
		"unknown resource":    {message{action: transfer + "Get", resource: "http://x/y"}, "2150858752"},
		"bad idle timeout":    {create("<rsp:IdleTimeOut>soon</rsp:IdleTimeOut>"), "87"},
		"missing body":        {message{action: shellURI + "/Command", shell: shell}, "2150858817"},
		"bad base64":          {message{action: shellURI + "/Send", shell: shell, body: `<rsp:Send><rsp:Stream Name="stdin" CommandId="` + id + `">*</rsp:Stream></rsp:Send>`}, "2150858817"},
		"unknown signal":      {signal(shell, id, "hup"), "87"},
		"no such program":     {command(shell, "/no/such/program", `<w:Option Name="WINRS_SKIP_CMD_SHELL">TRUE</w:Option>`), "2147942402"},
		"empty send":          {message{action: shellURI + "/Send", shell: shell}, "2150858817"},
		"empty receive":       {message{action: shellURI + "/Receive", shell: shell}, "87"},
		"send to other input": {message{action: shellURI + "/Send", shell: shell, body: `<rsp:Send><rsp:Stream Name="pr" CommandId="` + id + `"/></rsp:Send>`}, "87"},
	} {
		t.Run(name, func(t *testing.T) {
			if reply, code := s.ask(t, test.m); code != test.code {
				t.Errorf("fault %s, want %s: %s", code, test.code, reply)
			}
		})
	}
	for name, test := range map[string]struct {
		body   string
		status int
	}{
		"too large":     {strings.Repeat(" ", 150<<10) + create("").envelope(), http.StatusRequestEntityTooLarge},
		"far too large": {strings.Repeat(" ", 1<<20), http.StatusRequestEntityTooLarge},
		"doctype":       {`<!DOCTYPE x [<!ENTITY e "x">]>` + create("").envelope()[38:], http.StatusInternalServerError},
		"no xml":        {"hello", http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			if response, reply := s.post(t, test.body); response.StatusCode != test.status {
				t.Errorf("%s, want %d: %s", response.Status, test.status, reply)
			}
		})
	}
}

func TestRepliesLookLikeTheService(t *testing.T) {
	s := start(t, wsman.Limits{})
	response, _ := s.post(t, create("").envelope())
	if got := response.Header.Get("Server"); got != "Microsoft-HTTPAPI/2.0" {
		t.Errorf("Server: %q", got)
	}
	if len(response.TransferEncoding) != 1 || response.TransferEncoding[0] != "chunked" {
		t.Errorf("Transfer-Encoding: %v", response.TransferEncoding)
	}
	reply := s.must(t, message{action: transfer + "Get", resource: configURI})
	if !strings.Contains(reply, "<cfg:MaxEnvelopeSizekb>500</cfg:MaxEnvelopeSizekb>") {
		t.Errorf("configuration: %s", reply)
	}
}

func TestIdentifyNeedsNoLogon(t *testing.T) {
	s := start(t, wsman.Limits{})
	body := `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>`
	r, _ := http.NewRequest(http.MethodPost, "http://"+s.http+"/wsman", strings.NewReader(body))
	r.Header.Set("WSMANIDENTIFY", "unauthenticated")
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if b, _ := io.ReadAll(response.Body); !strings.Contains(string(b), "<wsmid:ProductVendor>Microsoft Corporation<") {
		t.Errorf("%s: %s", response.Status, b)
	}
}

func TestQuotas(t *testing.T) {
	s := start(t, wsman.Limits{Shells: 2, Operations: 2})
	shell := s.open(t, "")
	other := s.open(t, "")
	if _, code := s.ask(t, create("")); code != "2150859173" {
		t.Errorf("third shell: %s", code)
	}
	s.must(t, message{action: transfer + "Delete", shell: other})
	id := s.run(t, shell, "true")
	s.output(t, shell, id)
	s.must(t, signal(shell, id, "terminate"))
	s.run(t, shell, "true")
	if _, code := s.ask(t, command(shell, "true")); code != "2150859174" {
		t.Errorf("third command, though one has ended: %s", code)
	}
	if _, code := s.ask(t, command(s.open(t, ""), "true")); code != "2150859174" {
		t.Errorf("third command in another shell: %s", code)
	}
}

func TestSlowReaderOfStdin(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	id := s.run(t, shell, "cat "+gate+"; wc -c")
	data := bytes.Repeat([]byte("x"), 300000)
	m := send(shell, id, data, false)
	m.timeout = "PT0.2S"
	if _, code := s.ask(t, m); code != "2150858793" {
		t.Fatalf("send to a process that does not read: %s", code)
	}
	if _, code := s.ask(t, send(shell, id, data, false)); code != "170" {
		t.Fatalf("send while one is pending: %s", code)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for code := "170"; code != ""; { // the first one arrives all the same
		if _, code = s.ask(t, send(shell, id, nil, true)); code != "" && code != "170" {
			t.Fatalf("end: %s", code)
		}
	}
	if out, _ := s.output(t, shell, id); strings.TrimSpace(string(out)) != strconv.Itoa(len(data)) {
		t.Errorf("%s bytes arrived, want %d", out, len(data))
	}
}

func TestSendToDeadProcess(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	id := s.run(t, shell, "true")
	s.output(t, shell, id)
	if _, code := s.ask(t, send(shell, id, []byte("x"), false)); code != "109" {
		t.Errorf("send to a dead process: %s", code)
	}
}

func TestClientNamesTheCommand(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	const id = "3D4C0A1C-0C5B-4B0C-9B29-1B3B0A6F0001"
	m := command(shell, "echo named")
	m.body = strings.Replace(m.body, "<rsp:CommandLine>", `<rsp:CommandLine CommandId="`+strings.ToLower(id)+`">`, 1)
	if got := find(t, `<rsp:CommandId>([^<]+)`, s.must(t, m)); got != id {
		t.Errorf("id %s", got)
	}
	if _, code := s.ask(t, m); code != "87" {
		t.Errorf("the same id twice: %s", code)
	}
	if out, _ := s.output(t, shell, id); string(out) != "named\n" {
		t.Errorf("stdout %q", out)
	}
}

// deathOf makes a pipe that a command line can hold open as descriptor 9: what
// is returned waits until all who hold it are gone.
func deathOf(t *testing.T) (redirect string, wait func()) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "held")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	held, err := os.OpenFile(name, os.O_RDWR, 0) // until the others have opened it
	if err != nil {
		t.Fatal(err)
	}
	end, err := os.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return "9&gt;" + name, func() {
		held.Close()
		_, _ = io.Copy(io.Discard, end)
		end.Close()
	}
}

func TestDeleteKillsTheTree(t *testing.T) {
	for name, end := range map[string]func(s *service, t *testing.T, shell, id string){
		"delete": func(s *service, t *testing.T, shell, _ string) {
			s.must(t, message{action: transfer + "Delete", shell: shell})
		},
		"terminate": func(s *service, t *testing.T, shell, id string) { s.must(t, signal(shell, id, "terminate")) },
		"close":     func(s *service, _ *testing.T, _, _ string) { s.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, wsman.Limits{})
			shell := s.open(t, "")
			held, dead := deathOf(t)
			id := s.run(t, shell, "exec "+held+"; sleep 1000 &amp; echo ready; wait")
			for len(stdoutOf(t, s.must(t, receive(shell, id, "")))) == 0 {
			}
			end(s, t, shell, id)
			dead()
		})
	}
}

func TestControlC(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	id := s.run(t, shell, "sleep 1000")
	s.must(t, signal(shell, id, "ctrl_c"))
	if _, exit := s.output(t, shell, id); exit != "3221225786" {
		t.Errorf("exit code %s", exit)
	}
}

func TestTerminateAbortsReceive(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	id := s.run(t, shell, "sleep 1000")
	code := make(chan string)
	go func() {
		_, c := s.ask(t, receive(shell, id, "PT60S"))
		code <- c
	}()
	s.must(t, signal(shell, id, "terminate"))
	if got := <-code; got != "995" && got != "2150858843" { // the second when it came late
		t.Errorf("receive: %s", got)
	}
}

func TestIdleShellIsReaped(t *testing.T) {
	t.Parallel()
	s := start(t, wsman.Limits{})
	shell := s.open(t, `<rsp:IdleTimeOut>PT3S</rsp:IdleTimeOut>`) // longer than a busy machine takes to the next message
	held, dead := deathOf(t)
	id := s.run(t, shell, "exec "+held+"; sleep 1000")
	if _, code := s.ask(t, receive(shell, id, "PT4S")); code != "2150858793" {
		t.Errorf("a shell in use was reaped: %s", code)
	}
	dead()
	if _, code := s.ask(t, message{action: transfer + "Get", shell: shell}); code != "2150858843" {
		t.Errorf("get: %s", code)
	}
}
