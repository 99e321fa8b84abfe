package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-shipper/shipper/lab/bench/zeroloss/instance"
)

// running is one slot's program while it runs.
type running struct {
	slot   string
	addr   string
	server *http.Server
}

// startInstance serves at an address that was chosen before.
func startInstance(slot, addr string, download int64) (*running, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	in := &running{slot, addr, &http.Server{Handler: instance.Handler("", slot, download), IdleTimeout: 2 * time.Minute}}
	go func() {
		if err := in.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Println("instance:", err)
		}
	}()
	return in, nil
}

// kill ends it without waiting for anybody.
func (in *running) kill() { in.server.Close() }

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
