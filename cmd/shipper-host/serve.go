package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// lingerTimeout is how long the guard may take to end a connection whose
// controller is gone.
const lingerTimeout = 5 * time.Second

// serve is the bridge: it makes sure that a guard runs, and carries bytes
// between our standard streams and it until either end is over.
func serve(ctx context.Context, c call) error {
	conn, err := dial(ctx, c, true)
	if err != nil {
		return err
	}
	defer conn.Close()
	return relay(ctx, conn, c.in, c.out)
}

func relay(ctx context.Context, conn net.Conn, in io.Reader, out io.Writer) error {
	up, down := make(chan error, 1), make(chan error, 1)
	go func() {
		up <- carry(conn, in)
	}()
	go func() {
		down <- carry(out, conn)
	}()
	select {
	case err := <-down: // a read of stdin cannot be taken back; the process ends with it
		return fromGuard(err)
	case err := <-up:
		if err != nil {
			return fmt.Errorf("carry bytes to the guard: %w", err)
		}
	case <-ctx.Done():
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // if it is gone, the read below tells
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	<-down
	return nil
}

// carry copies in pieces of the size that controllers send: each costs a turn.
func carry(to io.Writer, from io.Reader) error {
	const piece = 256 << 10
	_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, piece))
	return err
}

func fromGuard(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("carry bytes from the guard: %w", err)
}
