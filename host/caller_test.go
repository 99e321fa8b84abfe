package host

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/journal"
)

// What a host writes down is who acts there, not who somebody claims to be.
func TestWhoReallyActs(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var events []string
	m := newMachine(t)
	m.event = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e.Text)
	}
	m.restart()
	for _, who := range []Caller{{Account: `CORP\deploy`, Address: "192.0.2.7"}, {Account: `CORP\deploy`}} {
		conn, err := DialGuardAs(t.Context(), m.layout, who)
		if err != nil {
			t.Fatal(err)
		}
		c, _, err := rpc.Dial(t.Context(), conn, rpc.Hello{Protocol: rpc.Protocol, Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, err = c.Acquire(t.Context(), rpc.Acquire{Service: app, Environment: "test", Run: "r1", Verb: "deploy", Owner: "root@heaven", Address: "203.0.113.1", TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if s := m.status().Session; s.Account != `CORP\deploy` || s.Client != "192.0.2.7" || s.Owner != "root@heaven" {
			t.Errorf("session %+v", s)
		}
		for i := range 2 {
			seq := int64(10 + i)
			if err := c.Append(t.Context(), rpc.Append{Service: app, Run: "r1", Records: []journal.Record{record("r1", seq, journal.TypeRunStarted)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	records, err := m.c.Read(t.Context(), rpc.Read{Service: app, Run: "r1"})
	var acts []string
	for _, r := range records {
		if r.Type == journal.TypeSession {
			acts = append(acts, string(r.Data))
		}
	}
	if err != nil || len(acts) != 2 || !strings.Contains(acts[0], `CORP\\deploy, logged on from 192.0.2.7`) || !strings.Contains(acts[1], "is a claim") {
		t.Errorf("the journal has %v, %v", acts, err)
	}
	if ends, err := m.c.Read(t.Context(), rpc.Read{Service: app, Run: "*"}); err != nil || ends[0].Type != journal.TypeRunStarted {
		t.Errorf("the run begins with %+v, %v", ends, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if all := strings.Join(events, "\n"); !strings.Contains(all, "run r1: run.started") || strings.Count(all, `CORP\\deploy`) != 2 {
		t.Errorf("events\n%s", all)
	}
}

func TestCallersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	long := Caller{Account: strings.Repeat("x", maxCaller)}
	if err := long.write(&bytes.Buffer{}); err == nil {
		t.Error("a long name is sent")
	}
	for _, b := range [][]byte{nil, {0}, {0, 5, '{'}, {0, 2, '{', '['}, binary.BigEndian.AppendUint16(nil, maxCaller+1)} {
		if c, err := readCaller(bytes.NewReader(b)); err == nil {
			t.Errorf("%q is %+v", b, c)
		}
	}
}
