//go:build linux

package main

import (
	"context"
	"io"
	"net"

	"github.com/go-shipper/shipper/host/rpc"
)

// light makes a host whose guard says what the real one says and does nothing:
// what a controller can do with hosts that have processors and disks of their
// own, which here all share. Endpoint, logon, sealing and protocol are real.
func (s *simulated) light(ctx context.Context, m machine) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h := lightHandlers(*m.base)
	context.AfterFunc(ctx, func() { l.Close() })
	go func() {
		defer close(s.ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = rpc.Serve(ctx, conn, h) }() // the controller's side tells
		}
	}()
	address := l.Addr().String()
	s.dial = func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", address)
	}
	return nil
}

func lightHandlers(base rpc.Base) *rpc.Handlers {
	h := &rpc.Handlers{
		Hello: func(context.Context, rpc.Hello) (rpc.HelloReply, error) {
			return rpc.HelloReply{Protocol: rpc.Protocol, Version: "bench", Machine: "simulated", Boot: "1", OS: "windows", Arch: "amd64"}, nil
		},
		Put: func(_ context.Context, p rpc.Put, r io.Reader) (rpc.PutReply, error) {
			_, err := io.Copy(io.Discard, r)
			return rpc.PutReply{Complete: true, Have: p.Encoded}, err
		},
	}
	rpc.Handle(h, rpc.MethodHave, func(_ context.Context, p rpc.Have) (rpc.HaveReply, error) {
		reply := rpc.HaveReply{Bases: []rpc.Base{base}}
		for _, d := range p.Digests {
			reply.Missing = append(reply.Missing, rpc.Partial{Digest: d})
		}
		return reply, nil
	})
	rpc.Handle(h, rpc.MethodAcquire, func(_ context.Context, p rpc.Acquire) (rpc.Session, error) {
		return rpc.Session{Service: p.Service, Run: p.Run, Fence: 1, TTL: p.TTL, Remaining: p.TTL}, nil
	})
	rpc.Handle(h, rpc.MethodRenew, func(context.Context, rpc.Fenced) (rpc.Renewed, error) { return rpc.Renewed{}, nil })
	rpc.HandleQuiet(h, rpc.MethodReleaseSession, func(context.Context, rpc.Ended) error { return nil })
	rpc.HandleQuiet(h, rpc.MethodAppend, func(context.Context, rpc.Append) error { return nil })
	rpc.HandleQuiet(h, rpc.MethodInstall, func(context.Context, rpc.Install) error { return nil })
	return h
}
