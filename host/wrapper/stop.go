package wrapper

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-shipper/shipper/host/scm/tree"
)

// unaskedTimeout is the patience with a program that could not be asked to
// stop: nothing tells it to hurry.
const unaskedTimeout = 3 * time.Second

// stop asks as configured, waits, and kills the tree.
func (p *program) stop() {
	late := time.NewTimer(p.stopTimeout())
	defer late.Stop()
	if err := p.ask(); err != nil {
		p.stdin.Close() // some programs take that as well
		late.Reset(min(p.stopTimeout(), unaskedTimeout))
		p.note("could not ask the program to stop: %v", err)
	}
	select {
	case <-p.tree.Done():
	case <-late.C:
		p.note("the program did not stop in time, its processes are killed")
		p.tree.Kill()
		<-p.tree.Done()
	}
}

func (p *program) ask() error {
	switch p.StopSignal {
	case CtrlC:
		return p.tree.Signal(tree.CtrlC)
	case StdinClose:
		return p.stdin.Close()
	case HTTP:
		return p.post()
	case Kill:
		p.tree.Kill()
		return nil
	default:
		return p.tree.Signal(tree.CtrlBreak)
	}
}

// post asks by HTTP. A program that ends before it answers has understood.
func (p *program) post() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.stopTimeout())
	defer cancel()
	go func() {
		select {
		case <-p.tree.Done():
			cancel()
		case <-ctx.Done():
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.StopURL, nil)
	if err != nil {
		return fmt.Errorf("ask by http: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no proxy
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask by http: %w", err)
	}
	resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("ask by http: %s", resp.Status)
	}
	return nil
}
