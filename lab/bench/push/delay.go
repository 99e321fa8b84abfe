//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// far is the way to address with that delay there and back together. What is
// under way is not limited: only time passes, as on a long line.
func far(ctx context.Context, address string, delay time.Duration) (*net.TCPAddr, error) {
	return farCounted(ctx, address, delay, &atomic.Int64{})
}

// farCounted counts what travels, in both directions.
func farCounted(ctx context.Context, address string, delay time.Duration, bytes *atomic.Int64) (*net.TCPAddr, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go span(ctx, near, address, delay/2, bytes)
		}
	}()
	return l.Addr().(*net.TCPAddr), nil
}

func span(ctx context.Context, near net.Conn, address string, delay time.Duration, bytes *atomic.Int64) {
	defer near.Close()
	end, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer end.Close()
	stop := context.AfterFunc(ctx, func() { near.Close(); end.Close() })
	defer stop()
	there := make(chan struct{})
	go func() {
		defer close(there)
		later(end, near, delay, bytes)
		end.(*net.TCPConn).CloseWrite()
	}()
	later(near, end, delay, bytes)
	near.(*net.TCPConn).CloseWrite()
	<-there
}

// later copies, each byte after the delay.
func later(to io.Writer, from io.Reader, delay time.Duration, bytes *atomic.Int64) {
	type piece struct {
		due time.Time
		b   []byte
	}
	line := make(chan piece, 4096)
	go func() {
		defer close(line)
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			if bytes.Add(int64(n)); n > 0 {
				line <- piece{time.Now().Add(delay), append([]byte(nil), b[:n]...)} // most are much shorter than b
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range line {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.b); err != nil {
			break
		}
	}
	for range line { // the reader ends with its connection
	}
}
