package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/release"
)

// work is one kind of request.
type work struct {
	name string
	path string
	size int // bytes of the answer's body
	unit string
}

func works() []work {
	return []work{
		{"1k", "/1k", 1 << 10, "1 kB"},
		{"100k", "/100k", 100 << 10, "100 kB"},
		{"ws", "/ws", 64, "WebSocket echo"},
	}
}

// load is a number of clients, each with a connection of its own that it
// keeps, asking again as soon as it was answered.
type load struct {
	measuring, stopped atomic.Bool
	done               atomic.Int64 // requests that were counted, for who waits
	clients            sync.WaitGroup

	mu      sync.Mutex
	count   int64
	latency [release.LatencyBuckets]int64
	failed  error
}

func startLoad(ctx context.Context, addr string, w work, connections int) *load {
	l := &load{}
	for range connections {
		l.clients.Go(func() {
			if err := l.client(ctx, addr, w); err != nil {
				l.fail(err)
			}
		})
	}
	return l
}

// wait ends the load and returns the first failure: a proxy that fails
// requests is not measured.
func (l *load) wait() error {
	l.stopped.Store(true)
	l.clients.Wait()
	return l.failed
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
}

func (l *load) client(ctx context.Context, addr string, w work) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	ask, err := asker(c, w)
	if err != nil {
		return err
	}
	var count int64
	var latency [release.LatencyBuckets]int64
	for !l.stopped.Load() {
		began, counted := time.Now(), l.measuring.Load()
		if err := ask(); err != nil {
			return err
		}
		if counted {
			count++
			l.done.Add(1)
			latency[release.LatencyBucket(time.Since(began))]++
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count += count
	for i, n := range latency {
		l.latency[i] += n
	}
	return nil
}

// quantile is the upper end of the bucket in which it falls.
func (l *load) quantile(q float64) time.Duration {
	left := int64(q * float64(l.count))
	for i, n := range l.latency {
		if left -= n; left < 0 {
			return release.LatencyBound(i)
		}
	}
	return 0
}

// asker prepares a connection; each call is one request and its whole answer.
func asker(c net.Conn, w work) (func() error, error) {
	r := bufio.NewReaderSize(c, 64<<10)
	request := []byte("GET " + w.path + " HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	if w.name != "ws" {
		return func() error {
			if _, err := c.Write(request); err != nil {
				return err
			}
			return readAnswer(r, w.size)
		}, nil
	}
	if err := upgrade(c, r, w.path); err != nil {
		return nil, err
	}
	payload := bytes.Repeat([]byte("x"), w.size)
	message := frame(payload, true)
	return func() error {
		if _, err := c.Write(message); err != nil {
			return err
		}
		back, err := readFrame(r)
		if err == nil && !bytes.Equal(back, payload) {
			err = errors.New("the echo is another message")
		}
		return err
	}, nil
}

// readAnswer takes only a whole 200 with the length that was asked for.
func readAnswer(r *bufio.Reader, size int) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answer %q", line)
	}
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(":")); bytes.EqualFold(name, []byte("Content-Length")) {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
	}
	if length != size {
		return fmt.Errorf("answer of %d bytes, want %d", length, size)
	}
	_, err = r.Discard(size)
	return err
}

const webSocketKey = "c2hpcHBlciBiZW5jaCBrZXk="

func upgrade(c net.Conn, r *bufio.Reader, path string) error {
	_, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+webSocketKey+"\r\n\r\n")
	if err != nil {
		return err
	}
	var head []byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		head = append(head, line...)
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, []byte(accept(webSocketKey))) {
		return fmt.Errorf("answer to the upgrade: %q", head)
	}
	return nil
}

// accept is what RFC 6455 wants back for a key.
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
