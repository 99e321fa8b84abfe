package simulate

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-shipper/shipper/host/scm"
)

// Kinds of releases, by their version: 1.0.0 and whatever is not below is good.
const (
	deaf    = "1.1.1" // never listens
	sick    = "1.1.2" // fails its smoke check
	crashes = "1.1.3" // ends after a while
	errs    = "1.1.4" // half of its answers are 500
)

func program(version string) string { return "program of " + version }

// instance is a process of a release: it answers plain HTTP, each request
// after a while, and cuts what is under way when it is stopped.
type instance struct {
	h       *machine
	version string

	mu    sync.Mutex
	rng   *rand.Rand
	asked int
	conns []net.Conn
	ended bool
}

// instance listens and answers as its release does.
func (m *manager) instance(s scm.Spec, version string, pid uint32) (func(), error) {
	if version == deaf {
		return func() {}, nil
	}
	l, err := m.h.net.listen(context.Background(), "127.0.0.1:"+port(s))
	if err != nil {
		return nil, err
	}
	m.h.world.event("%s: %s runs %s", m.h.name, s.Name, version)
	i := &instance{h: m.h, version: version, rng: rand.New(rand.NewPCG(m.h.world.seed, uint64(pid)))}
	over := make(chan struct{})
	go func() {
		defer close(over)
		i.accept(l)
	}()
	if version == crashes {
		m.h.world.after(4*time.Second, func() { m.crash(s.Name, pid) })
	}
	return func() { l.Close(); i.end(); <-over }, nil
}

func (i *instance) accept(l net.Listener) {
	var work sync.WaitGroup
	defer work.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		i.mu.Lock()
		ended := i.ended
		i.conns = append(i.conns, c)
		i.mu.Unlock()
		if ended {
			c.Close()
			return
		}
		work.Go(func() { defer c.Close(); i.serve(c) })
	}
}

func (i *instance) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	for _, c := range i.conns {
		c.(*conn).reset()
	}
}

// serve answers what comes over a connection; no request has a body.
func (i *instance) serve(c net.Conn) {
	var got []byte
	buf := make([]byte, 2048)
	for {
		head, rest, whole := bytes.Cut(got, []byte("\r\n\r\n"))
		if !whole {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			got = append(got, buf[:n]...)
			continue
		}
		got = append(got[:0], rest...)
		request := strings.ToLower(string(head))
		_, path, _ := strings.Cut(request, " ")
		path, _, _ = strings.Cut(path, " ")
		if _, err := c.Write([]byte(i.answer(path))); err != nil || strings.Contains(request, "connection: close") {
			return
		}
	}
}

func (i *instance) answer(path string) string {
	i.mu.Lock()
	i.asked++
	odd := i.asked%2 == 1
	think := time.Duration(i.rng.Int64N(int64(40 * time.Millisecond)))
	if i.rng.IntN(8) == 0 {
		think += time.Second
	}
	i.mu.Unlock()
	status := "200 OK"
	switch health := path == "/healthz"; {
	case health:
		think = 0
		if i.version == sick {
			status = "500 Internal Server Error"
		}
	case i.version == sick:
		i.h.world.breaks("%s: a client reached a release that failed its smoke check", i.h.name)
	case i.version == errs && odd:
		status = "500 Internal Server Error"
	}
	time.Sleep(think + i.h.scm.hangs())
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(i.version), i.version)
}

const public = "127.0.0.1:8100"

// ask is a client of the service.
func (h *machine) ask(client int) (status int, version string, err error) {
	from := fmt.Sprintf("10.0.%d.%d:40000", client/250, client%250+1)
	c, err := h.net.dialFrom(context.Background(), public, from, nil)
	if err != nil {
		return 0, "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, "", err
	}
	method := "POST" // which nobody may send twice
	if client%2 == 0 {
		method = "GET"
	}
	if _, err := c.Write([]byte(method + " /orders HTTP/1.1\r\nHost: orders\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")); err != nil {
		return 0, "", err
	}
	var got []byte
	buf := make([]byte, 1024)
	for err == nil {
		var n int
		n, err = c.Read(buf)
		got = append(got, buf[:n]...)
		if status, body, whole := parse(string(got)); whole {
			return status, body, nil
		}
	}
	return 0, string(got), err
}

// parse reads an answer that has a length.
func parse(answer string) (status int, body string, whole bool) {
	head, body, found := strings.Cut(answer, "\r\n\r\n")
	_, length, known := strings.Cut(strings.ToLower(head), "content-length:")
	length, _, _ = strings.Cut(length, "\r\n")
	n, err := strconv.Atoi(strings.TrimSpace(length))
	if !found || !known || err != nil || len(body) < n || len(head) < 12 {
		return 0, "", false
	}
	status, err = strconv.Atoi(head[9:12])
	return status, strings.TrimSpace(body[:n]), err == nil
}
