package load

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// socketEvery is how often a WebSocket client sends a message.
const socketEvery = 50 * time.Millisecond

// errClosed is a WebSocket's end that its other side announced: no loss, the
// client connects again.
var errClosed = errors.New("closed by the other side")

const (
	opText  = 1
	opClose = 8
)

// keepSocket holds a WebSocket open until ctx ends, and another one when it is
// closed as the protocol wants it. Every echo is an answer; an end without
// goodbye is a loss.
func (g *Generator) keepSocket(ctx context.Context, address string) {
	for ctx.Err() == nil {
		began := time.Now()
		err := g.socket(ctx, address)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errClosed):
			g.note(func(r *Report) { r.Reopened++ })
		default:
			g.note(func(r *Report) { r.count(Key{URL: address}, 0, err, time.Now(), time.Since(began)) })
			sleep(ctx, socketEvery) // not all at once against what is gone
		}
	}
}

func (g *Generator) socket(ctx context.Context, address string) error {
	s, err := dialSocket(ctx, address, g.o.Timeout)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	for n := 0; ; n++ {
		began := time.Now()
		if err := s.echo(fmt.Sprintf("message %d", n), g.o.Timeout); err != nil {
			return err
		}
		g.note(func(r *Report) { r.count(Key{URL: address}, http.StatusOK, nil, time.Now(), time.Since(began)) })
		sleep(ctx, socketEvery)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// websocket is the client's end, after its handshake.
type websocket struct {
	conn net.Conn
	in   *bufio.Reader
}

func dialSocket(ctx context.Context, address string, timeout time.Duration) (*websocket, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: timeout}
	conn, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	s := &websocket{conn, bufio.NewReader(conn)}
	if err := s.shake(u, timeout); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *websocket) shake(u *url.URL, timeout time.Duration) error {
	if err := s.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // it never fails
	_, err := fmt.Fprintf(s.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", u.RequestURI(), u.Host, base64.StdEncoding.EncodeToString(key))
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade answered with status %d", res.StatusCode)
	}
	return nil
}

// echo sends a message and wants it back.
func (s *websocket) echo(text string, timeout time.Duration) error {
	if err := s.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := s.conn.Write(masked(opText, []byte(text))); err != nil {
		if op, _, err := s.frame(); err == nil && op == opClose { // said before our message
			return errClosed
		}
		return err
	}
	op, data, err := s.frame()
	switch {
	case err != nil:
		return err
	case op == opClose:
		_, _ = s.conn.Write(masked(opClose, data)) // its sender may be gone
		return errClosed
	case string(data) != text:
		return fmt.Errorf("sent %q, got %q", text, data)
	}
	return nil
}

// frame reads one that is short, as all of ours are.
func (s *websocket) frame() (op byte, data []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[1] > 125 {
		return 0, nil, fmt.Errorf("a frame of %d bytes", head[1])
	}
	data = make([]byte, head[1])
	_, err = io.ReadFull(s.in, data)
	return head[0] & 0x0f, data, err
}

// masked is a frame as clients send it.
func masked(op byte, data []byte) []byte {
	var mask [4]byte
	_, _ = rand.Read(mask[:]) // it never fails
	frame := append([]byte{0x80 | op, 0x80 | byte(len(data))}, mask[:]...)
	for i, b := range data {
		frame = append(frame, b^mask[i%4])
	}
	return frame
}
