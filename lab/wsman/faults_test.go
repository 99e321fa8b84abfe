//go:build linux

package wsman_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-shipper/shipper/lab/wsman"
)

func TestFaults(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	get := message{action: transfer + "Get", shell: shell}

	s.SetFaults(wsman.Faults{RefuseAuth: 1})
	if response, _ := s.post(t, get.envelope()); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("refused logon: %s", response.Status)
	}
	s.must(t, get)

	s.SetFaults(wsman.Faults{Unavailable: time.Hour})
	if response, _ := s.post(t, get.envelope()); response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("unavailable: %s", response.Status)
	}
	s.SetFaults(wsman.Faults{})
	s.must(t, get)

	const latency = 50 * time.Millisecond
	s.SetFaults(wsman.Faults{Latency: latency})
	before := time.Now()
	s.must(t, get)
	if took := time.Since(before); took < latency {
		t.Errorf("the reply came after %v", took)
	}
}

func TestHeldSendIsDelivered(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	id := s.run(t, shell, "cat")
	s.SetFaults(wsman.Faults{HoldSends: 1})
	if _, code := s.ask(t, send(shell, id, []byte("once"), false)); code != "2150858793" {
		t.Errorf("held send: %s", code)
	}
	s.must(t, send(shell, id, nil, true))
	if out, _ := s.output(t, shell, id); string(out) != "once" {
		t.Errorf("arrived: %q", out)
	}
}

func TestCutConnection(t *testing.T) {
	s := start(t, wsman.Limits{})
	shell := s.open(t, "")
	id := s.run(t, shell, "cat")
	s.SetFaults(wsman.Faults{CutAfterBytes: 100000})
	r, err := http.NewRequest(http.MethodPost, "https://"+s.https+"/wsman", strings.NewReader(send(shell, id, make([]byte, 200000), false).envelope()))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	response, err := s.client.Do(r)
	if err == nil {
		response.Body.Close()
		t.Fatal("the connection was not cut")
	}
	s.must(t, send(shell, id, []byte("after"), true))
	if out, _ := s.output(t, shell, id); string(out) != "after" {
		t.Errorf("half a message arrived: %d bytes", len(out))
	}
}

func TestServeTLSNeedsCertificate(t *testing.T) {
	if err := wsman.New(wsman.Config{}).ServeTLS(nil); err == nil || errors.Is(err, http.ErrServerClosed) {
		t.Errorf("got %v", err)
	}
}
