package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cell is one proxy doing one kind of work; its samples are one per round.
type cell struct {
	proxy   *proxy
	work    work
	samples []sample
}

// sample is one measurement.
type sample struct {
	cpu, rps float64 // microseconds of all its processes per request; requests per second
	p50, p99 time.Duration
}

// startCells starts each proxy once without and once with an access log.
func startCells(ctx context.Context, dir string, back *backend, o options) ([]*cell, func(), error) {
	var cells []*cell
	var running []*proxy
	stop := func() {
		for _, p := range running {
			p.stop()
		}
	}
	for _, log := range []bool{false, true} {
		for _, name := range names() {
			if !chosen(o.proxies, name) {
				continue
			}
			p, err := startProxy(ctx, filepath.Join(dir, fmt.Sprint(name, log)), name, back, log)
			if p != nil {
				running = append(running, p)
			}
			if err != nil {
				return nil, stop, fmt.Errorf("start %s: %w", name, err)
			}
			for _, w := range works() {
				if chosen(o.work, w.name) && !(log && w.name == "ws") { // a WebSocket is one line, however long
					cells = append(cells, &cell{proxy: p, work: w})
				}
			}
		}
	}
	return cells, stop, nil
}

func measure(ctx context.Context, c *cell, o options) (sample, error) {
	l := startLoad(ctx, c.proxy.addr, c.work, o.connections)
	pause(ctx, o.warm)
	before, err := cpuOf(c.proxy.cmd.Process.Pid)
	began := time.Now()
	l.measuring.Store(true)
	pause(ctx, o.span)
	l.measuring.Store(false)
	took := time.Since(began)
	after, errAfter := cpuOf(c.proxy.cmd.Process.Pid)
	if err := errors.Join(l.wait(), err, errAfter, context.Cause(ctx)); err != nil {
		return sample{}, err
	}
	if l.count == 0 {
		return sample{}, errors.New("no request was answered")
	}
	return sample{
		cpu: (after - before).Seconds() * 1e6 / float64(l.count),
		rps: float64(l.count) / took.Seconds(),
		p50: l.quantile(0.5), p99: l.quantile(0.99),
	}, nil
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// cpuOf is the user and system time of a process and its children until now.
// The kernel counts in hundredths of a second, exactly enough over seconds.
func cpuOf(pid int) (time.Duration, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	total, found := time.Duration(0), false
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		id, parent, cpu := parseStat(data)
		if id == pid || parent == pid {
			total, found = total+cpu, true
		}
	}
	if !found {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return total, nil
}

// parseStat reads pid, ppid, utime and stime of proc(5); the name in between
// may hold anything, brackets too.
func parseStat(data []byte) (pid, parent int, cpu time.Duration) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 1 || end < 0 {
		return 0, 0, 0
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 13 {
		return 0, 0, 0
	}
	pid, _ = strconv.Atoi(strings.TrimSpace(string(data[:open])))
	parent, _ = strconv.Atoi(fields[1])
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return pid, parent, time.Duration(user+system) * (time.Second / 100)
}

func splitPort(addr string) (string, int, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.Atoi(text)
	return host, port, err
}
