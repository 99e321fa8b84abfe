//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// answer is what became of one request, as its client saw it.
type answer struct {
	sent, got time.Time
	version   string // empty: not a service answered
	failed    bool   // no answer, or 5xx
}

// crowd is the clients of a fleet, each with an address and a connection of
// its own. Requests leave at a constant rate, to the hosts in turn.
type crowd struct {
	clients []*http.Client
	urls    []string

	mu      sync.Mutex
	answers []answer
}

func newCrowd(n int, urls []string) *crowd {
	c := &crowd{urls: urls}
	for i := range n {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddress(i))}, Timeout: 10 * time.Second}
		c.clients = append(c.clients, &http.Client{
			Transport: &http.Transport{DialContext: dialer.DialContext}, Timeout: 30 * time.Second,
		})
	}
	return c
}

// send asks rate times a second until ctx ends, and returns when all is
// answered.
func (c *crowd) send(ctx context.Context, rate int) {
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	var asked sync.WaitGroup
	defer asked.Wait()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			asked.Go(func() { c.ask(c.clients[i%len(c.clients)], c.urls[i%len(c.urls)]) })
		}
	}
}

func (c *crowd) ask(client *http.Client, url string) {
	a := answer{sent: time.Now()}
	res, err := client.Get(url)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		a.version = res.Header.Get(versionHeader)
		a.failed = res.StatusCode >= 500
	}
	a.failed = a.failed || err != nil
	a.got = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, a)
}

// take returns what was answered since it was called last.
func (c *crowd) take() []answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.answers
	c.answers = nil
	return out
}

func (c *crowd) close() {
	for _, client := range c.clients {
		client.CloseIdleConnections()
	}
}
