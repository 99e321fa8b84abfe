package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
)

// backend answers by hand what all proxies ask for: it must cost little, or
// it would take the cores from what is measured. It listens twice, because a
// service has two slots.
type backend struct {
	listeners []net.Listener
	answers   map[string][]byte
}

func newBackend() (*backend, error) {
	b := &backend{answers: map[string][]byte{"/1k": page(1 << 10), "/100k": page(100 << 10)}}
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.close()
			return nil, err
		}
		b.listeners = append(b.listeners, l)
		go b.accept(l)
	}
	return b, nil
}

func page(size int) []byte {
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: %d\r\n\r\n", size)
	return append([]byte(head), bytes.Repeat([]byte("x"), size)...)
}

func (b *backend) addr(i int) string { return b.listeners[i].Addr().String() }

func (b *backend) close() {
	for _, l := range b.listeners {
		l.Close()
	}
}

func (b *backend) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_ = b.serve(c) // the proxy left
		}()
	}
}

func (b *backend) serve(c net.Conn) error {
	r := bufio.NewReader(c)
	for {
		path, header, err := readHead(r)
		if err != nil {
			return err
		}
		if path == "/ws" {
			return echo(c, r, header)
		}
		answer, ok := b.answers[path]
		if !ok {
			return errors.New("unknown path")
		}
		if _, err := c.Write(answer); err != nil {
			return err
		}
	}
}

// readHead reads a request without a body and keeps only the key of a WebSocket.
func readHead(r *bufio.Reader) (path, key string, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return "", "", err
	}
	_, rest, _ := bytes.Cut(line, []byte(" "))
	target, _, _ := bytes.Cut(rest, []byte(" "))
	path = string(target)
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", "", err
		}
		if len(line) <= 2 {
			return path, key, nil
		}
		if name, value, _ := strings.Cut(string(line[:min(len(line), 80)]), ":"); strings.EqualFold(name, "Sec-WebSocket-Key") {
			key = strings.TrimSpace(value)
		}
	}
}

// echo sends the text of each WebSocket frame back.
func echo(c net.Conn, r *bufio.Reader, key string) error {
	_, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+accept(key)+"\r\n\r\n")
	for err == nil {
		var payload []byte
		if payload, err = readFrame(r); err == nil {
			_, err = c.Write(frame(payload, false))
		}
	}
	return err
}

// readFrame reads a frame below 126 bytes and takes its mask off.
func readFrame(r *bufio.Reader) ([]byte, error) {
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	mask := make([]byte, 4)
	if head[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, mask); err != nil {
			return nil, err
		}
	}
	payload := make([]byte, head[1]&0x7f)
	_, err := io.ReadFull(r, payload)
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return payload, err
}

// frame makes a text frame below 126 bytes; clients must mask theirs.
func frame(payload []byte, masked bool) []byte {
	f := []byte{0x81, byte(len(payload))}
	if !masked {
		return append(f, payload...)
	}
	mask := []byte{1, 2, 3, 4}
	f[1] |= 0x80
	f = slices.Concat(f, mask, payload)
	for i := range payload {
		f[6+i] ^= mask[i%4]
	}
	return f
}
