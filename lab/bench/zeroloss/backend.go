package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// instance is one slot's program while it runs.
type instance struct {
	slot   string
	addr   string
	server *http.Server
}

// startInstance serves at an address that was chosen before.
func startInstance(slot, addr string, download int64) (*instance, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	small := bytes.Repeat([]byte("1"), 1000)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Slot", slot)
		_, _ = w.Write(small) // the load tells what was lost
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Slot", slot)
		w.Header().Set("Content-Length", strconv.FormatInt(download, 10))
		_, _ = io.CopyN(w, endless{}, download)
	})
	mux.HandleFunc("/echo", echo)
	in := &instance{slot, addr, &http.Server{Handler: mux, IdleTimeout: 2 * time.Minute}}
	go func() {
		if err := in.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Println("instance:", err)
		}
	}()
	return in, nil
}

// kill ends it without waiting for anybody.
func (in *instance) kill() { in.server.Close() }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// echo is a WebSocket that gives every frame back, until a goodbye.
func echo(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	if buf.Flush() != nil {
		return
	}
	for {
		var head [6]byte
		if _, err := io.ReadFull(buf, head[:]); err != nil {
			return
		}
		data := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(buf, data); err != nil {
			return
		}
		for i := range data {
			data[i] ^= head[2+i%4]
		}
		if _, err := conn.Write(append([]byte{head[0], byte(len(data))}, data...)); err != nil || head[0]&0x0f == 8 {
			return
		}
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
