//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-shipper/shipper/lab"
	"github.com/go-shipper/shipper/transport/winrm"
)

func wire(ctx context.Context, dir string, exe []byte) error {
	l, err := lab.Up(ctx, lab.Options{Name: fmt.Sprintf("push-%d", os.Getpid()), Temporary: true})
	if err != nil {
		return err
	}
	defer l.Down(context.WithoutCancel(ctx))
	h := l.Hosts()[0]
	for i := range 6 {
		https := i%2 == 1
		cfg := winrm.Config{Host: h.Name, Address: h.Address, Port: h.HTTPPort, User: h.User, Password: h.Password}
		if https {
			cfg.HTTPS, cfg.Port, cfg.CAFile = true, h.HTTPSPort, h.CAFile
		}
		path, err := bundle(dir, fmt.Sprintf("1.0.%d", i), "windows", variant(exe, uint64(i)))
		if err != nil {
			return err
		}
		began := time.Now()
		told, err := push(ctx, controller([]remote{{Config: cfg}}, true), path)
		if err != nil {
			return err
		}
		p := told[h.Name]
		fmt.Printf("https %v: %.3f s, %.1f MB/s, whole %s, %+v\n", https, p.Seconds, float64(len(exe))/p.Seconds/1e6, time.Since(began), p)
	}
	return nil
}
