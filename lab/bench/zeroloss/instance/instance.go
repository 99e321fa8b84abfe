// Package instance is the program behind the proxies: small answers, uploads,
// a large download and a WebSocket.
package instance

import (
	"bytes"
	"crypto/sha1"
	_ "embed"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Source is this file.
//
//go:embed instance.go
var Source []byte

// Handler answers as a version in a slot.
func Handler(version, slot string, download int64) http.Handler {
	mux := http.NewServeMux()
	small := bytes.Repeat([]byte("1"), 1000)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(small) // the load tells what was lost
	})
	mux.HandleFunc("/download", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.FormatInt(download, 10))
		_, _ = io.CopyN(w, endless{}, download)
	})
	mux.HandleFunc("/echo", echo)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Slot", slot)
		w.Header().Set("X-Orders-Version", version)
		mux.ServeHTTP(w, r)
	})
}

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
