//go:build linux

package wsman_test

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/bodgit/ntlmssp"

	"github.com/go-shipper/shipper/lab/wsman"
)

// peer is a client on one connection, byte by byte.
type peer struct {
	conn net.Conn
	in   *bufio.Reader
	ntlm *ntlmssp.Client
}

func dial(t *testing.T, address, secret string) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	client, err := ntlmssp.NewClient(ntlmssp.SetUserInfo(user, secret), ntlmssp.SetVersion(ntlmssp.DefaultVersion()))
	if err != nil {
		t.Fatal(err)
	}
	return &peer{conn, bufio.NewReader(conn), client}
}

func (p *peer) do(t *testing.T, headers, body string) (*http.Response, []byte) {
	t.Helper()
	if _, err := fmt.Fprintf(p.conn, "POST /wsman HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s", len(body), headers, body); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(p.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, b
}

// logon goes through the exchange; the last message carries body.
func (p *peer) logon(t *testing.T, headers string, body func() string) (*http.Response, []byte) {
	t.Helper()
	negotiate, err := p.ntlm.Authenticate(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, _ := p.do(t, authorization(negotiate), "")
	challenge, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(response.Header.Get("WWW-Authenticate"), "Negotiate "))
	if err != nil || response.StatusCode != http.StatusUnauthorized {
		t.Fatalf("%s, %v", response.Status, err)
	}
	message, err := p.ntlm.Authenticate(challenge, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.do(t, authorization(message)+headers, body())
}

func authorization(token []byte) string {
	return "Authorization: Negotiate " + base64.StdEncoding.EncodeToString(token) + "\r\n"
}

const sealedHeader = "Content-Type: multipart/encrypted;protocol=\"application/HTTP-SPNEGO-session-encrypted\";boundary=\"Encrypted Boundary\"\r\n"

func (p *peer) seal(t *testing.T, plain string) string {
	t.Helper()
	sealed, signature, err := p.ntlm.SecuritySession().Wrap([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return "--Encrypted Boundary\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=" +
		fmt.Sprint(len(plain)) + "\r\n--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n\x10\x00\x00\x00" + string(signature) + string(sealed) + "--Encrypted Boundary--\r\n"
}

func (p *peer) unseal(t *testing.T, body []byte) string {
	t.Helper()
	_, rest, ok := strings.Cut(string(body), "octet-stream\r\n")
	rest, closed := strings.CutSuffix(rest, "--Encrypted Boundary--\r\n")
	if !ok || !closed || binary.LittleEndian.Uint32([]byte(rest)) != 16 {
		t.Fatalf("no sealed body: %q", body)
	}
	plain, err := p.ntlm.SecuritySession().Unwrap([]byte(rest[20:]), []byte(rest[4:20]))
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func TestOneLogonPerConnection(t *testing.T) {
	s := start(t, wsman.Limits{})
	p := dial(t, s.http, password)
	response, body := p.logon(t, sealedHeader, func() string { return p.seal(t, create("").envelope()) })
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "multipart/encrypted") {
		t.Fatalf("%s: %s", response.Status, body)
	}
	shell := find(t, `<w:Selector Name="ShellId">([^<]+)`, p.unseal(t, body))
	for range 3 { // no Authorization any more
		_, body := p.do(t, sealedHeader, p.seal(t, message{action: transfer + "Get", shell: shell}.envelope()))
		if !strings.Contains(p.unseal(t, body), shell) {
			t.Fatal("the shell is gone")
		}
	}
	response, body = p.do(t, sealedHeader, p.seal(t, message{action: transfer + "Get", shell: "NO"}.envelope()))
	if response.StatusCode != http.StatusInternalServerError || !strings.Contains(p.unseal(t, body), "2150858843") {
		t.Errorf("a fault: %s", response.Status)
	}
	stranger := dial(t, s.http, password)
	if response, _ := stranger.do(t, "", "x"); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("another connection: %s", response.Status)
	}
}

func TestWhatHTTPRefuses(t *testing.T) {
	s := start(t, wsman.Limits{})
	plainType := "Content-Type: application/soap+xml;charset=UTF-8\r\n"
	t.Run("plain message after logon", func(t *testing.T) {
		p := dial(t, s.http, password)
		if response, body := p.logon(t, plainType, create("").envelope); response.StatusCode != http.StatusInternalServerError || len(body) > 0 {
			t.Errorf("%s: %s", response.Status, body)
		}
	})
	t.Run("wrong password", func(t *testing.T) {
		p := dial(t, s.http, "wrong")
		if response, _ := p.logon(t, sealedHeader, func() string { return p.seal(t, create("").envelope()) }); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s", response.Status)
		}
		if response, _ := p.do(t, "", ""); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("and then: %s", response.Status)
		}
	})
	t.Run("basic", func(t *testing.T) {
		p := dial(t, s.http, password)
		basic := "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)) + "\r\n"
		response, _ := p.do(t, basic+plainType, create("").envelope())
		if response.StatusCode != http.StatusUnauthorized || strings.Contains(strings.Join(response.Header.Values("WWW-Authenticate"), ","), "Basic") {
			t.Errorf("%s, %v", response.Status, response.Header)
		}
	})
	t.Run("garbled seal", func(t *testing.T) {
		p := dial(t, s.http, password)
		response, _ := p.logon(t, sealedHeader, func() string {
			b := []byte(p.seal(t, create("").envelope()))
			b[len(b)-40] ^= 1
			return string(b)
		})
		if response.StatusCode != http.StatusBadRequest {
			t.Errorf("%s", response.Status)
		}
	})
	t.Run("sealed before logon", func(t *testing.T) {
		p := dial(t, s.http, password)
		if response, _ := p.do(t, sealedHeader, "--Encrypted Boundary\r\n"); response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s", response.Status)
		}
	})
	if n := s.Shells(); n != 0 {
		t.Errorf("%d shells were opened", n)
	}
}
