package router

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/host/logfile"
	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/release"
)

// Bounds of the access log: lines that wait for the disk, beyond which they
// are dropped and counted, and bytes of what a client wrote.
const (
	waitingLines = 4096
	batchBytes   = 64 << 10
	maxLogPath   = 2048
	maxLogField  = 256
)

// access is a line of the access log. Of the address there is the path, of
// the headers the user agent: nothing where passwords and tokens stand.
type access struct {
	time     time.Time
	service  string
	slot     release.Slot
	client   netip.Addr
	method   string
	host     string
	path     string
	proto    string
	agent    string
	trace    string
	status   int
	grpc     int
	bytes    int64
	took     time.Duration
	outcome  string
	fallback bool // the canary did not answer, and stable did
}

// accessLog writes lines when it comes to it; nobody waits for it.
type accessLog struct {
	rules   rpc.AccessLog
	lines   chan access
	dropped *atomic.Int64
	stop    chan struct{}
	ended   chan struct{}
}

// openAccessLog begins to write the log of a service.
func openAccessLog(dir, service string, rules rpc.AccessLog, dropped *atomic.Int64, now func() time.Time) (*accessLog, error) {
	path := filepath.Join(dir, "access", service+".jsonl")
	file, err := logfile.OpenAged(path, rules.MaxBytes, rules.Keep, rules.MaxAge, now)
	if err != nil {
		return nil, err
	}
	l := &accessLog{
		rules: rules, lines: make(chan access, waitingLines), dropped: dropped,
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go l.write(file)
	return l, nil
}

// add never waits.
func (l *accessLog) add(a access) {
	select {
	case l.lines <- a:
	default:
		l.dropped.Add(1)
	}
}

// close writes what waits. It may be called once; lines that are added
// afterwards are lost.
func (l *accessLog) close() {
	close(l.stop)
	<-l.ended
}

// write takes as many lines at once as there are.
func (l *accessLog) write(file *logfile.Log) {
	defer close(l.ended)
	defer file.Close()
	batch := make([]byte, 0, batchBytes+8<<10)
	for {
		select {
		case a := <-l.lines:
			batch = a.append(batch[:0])
		case <-l.stop:
			_, _ = file.Write(l.gather(batch[:0])) // the last lines
			return
		}
		_, _ = file.Write(l.gather(batch)) // it swallows what the disk says
	}
}

// gather adds lines that wait, up to a batch.
func (l *accessLog) gather(batch []byte) []byte {
	for len(batch) < batchBytes {
		select {
		case a := <-l.lines:
			batch = a.append(batch)
		default:
			return batch
		}
	}
	return batch
}

func (a access) append(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = a.time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = field(append(b, '"'), "service", a.service)
	b = field(b, "slot", string(a.slot))
	if a.client.IsValid() {
		b = a.client.AppendTo(append(b, `,"client":"`...))
		b = append(b, '"')
	}
	b = field(b, "method", cut(a.method, maxLogField))
	b = field(b, "host", cut(a.host, maxLogField))
	b = field(b, "path", cut(a.path, maxLogPath))
	b = field(b, "proto", a.proto)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(a.status), 10)
	if a.grpc != noGRPC {
		b = strconv.AppendInt(append(b, `,"grpc":`...), int64(a.grpc), 10)
	}
	b = strconv.AppendInt(append(b, `,"bytes":`...), a.bytes, 10)
	b = strconv.AppendFloat(append(b, `,"ms":`...), float64(a.took.Microseconds())/1000, 'f', 3, 64)
	b = field(b, "outcome", a.outcome)
	if a.fallback {
		b = append(b, `,"fallback":true`...)
	}
	b = field(b, "trace", a.trace)
	b = field(b, "agent", cut(a.agent, maxLogField))
	return append(b, "}\n"...)
}

// field adds a text unless it is empty.
func field(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":`...)
	if plain(text) {
		return append(append(append(b, '"'), text...), '"')
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, quoted...)
}

// plain reports whether JSON needs no escapes.
func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func cut(text string, most int) string { return text[:min(len(text), most)] }

// visit is a request as the access log tells it, from its beginning.
type visit struct {
	access
	x *exchange // nil: no slot was asked
}

// meets notes who asks, and whom. Nil notes nothing.
func (v *visit) meets(x *exchange, client netip.Addr) {
	if v != nil {
		v.x, v.client = x, client
	}
}

// refuse is the router's own answer.
func (v *visit) refuse(w http.ResponseWriter, status int, why string) {
	if v != nil {
		v.status = status
	}
	refuse(w, status, why)
}

func (s *service) begin(r *http.Request) *visit {
	return &visit{access: access{time: s.env.Now(), service: s.name, trace: trace(r.Header), grpc: noGRPC}}
}

// tell writes the line of a request that is over.
func (s *service) tell(l *accessLog, v *visit, r *http.Request) {
	v.method, v.host, v.path, v.proto, v.agent = r.Method, r.Host, r.URL.EscapedPath(), r.Proto, r.UserAgent()
	v.took, v.outcome = s.env.Now().Sub(v.time), "refused"
	if v.x != nil && v.x.in != nil {
		e := v.x.ending
		v.fallback = v.x.fallback
		v.slot, v.outcome, v.grpc, v.bytes = v.x.in.slot, e.outcome.String(), e.grpc, e.bytes
		if e.status != 0 {
			v.status = e.status
		}
	}
	l.add(v.access)
}

// keepAccessLog begins, changes or ends the log. One that cannot be written
// is no reason to refuse a route.
func (s *service) keepAccessLog(rules rpc.AccessLog) {
	old := s.access.Load()
	if old == nil && !rules.On || old != nil && old.rules == rules {
		return
	}
	var next *accessLog
	if rules.On {
		var err error
		if next, err = openAccessLog(s.env.Dir, s.name, rules, &s.dropped, s.env.Now); err != nil {
			s.env.Log.Error("no access log", "service", s.name, "err", err)
		}
	}
	s.access.Store(next)
	if old != nil {
		go old.close() // it may wait for the disk
	}
}

// endAccessLog is for a service that has ended.
func (s *service) endAccessLog() {
	if l := s.access.Swap(nil); l != nil {
		l.close()
	}
}
