package winrm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-shipper/shipper/transport"
)

// minWrite is where a host that takes less and less is given up, in bytes.
const minWrite = 4 << 10

// input is the stdin of a program.
type input struct {
	k       *command
	ctx     context.Context // of the program's whole life
	sending *sync.Mutex
	max     *atomic.Int64
}

func newInput(life context.Context, k *command) input {
	i := input{k: k, ctx: life, sending: &sync.Mutex{}, max: &atomic.Int64{}}
	i.max.Store(int64(k.c.build.maxSend()))
	return i
}

// MaxWrite is what fits the host's envelopes.
func (i input) MaxWrite() int { return int(i.max.Load()) }

// Write is one Send.
func (i input) Write(b []byte) (int, error) {
	i.sending.Lock()
	defer i.sending.Unlock()
	if err := i.Ready(b)(); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Ready makes a Write ready to go, so that this can be done while the one
// before it travels: write does the rest, and b may change meanwhile. One
// goroutine makes Writes ready, never more than one ahead.
func (i input) Ready(b []byte) (write func() error) {
	n, most := len(b), i.MaxWrite()
	if n > most {
		return func() error { return fmt.Errorf("write of %d bytes: at most %d", n, most) }
	}
	m := i.k.ready(b, false)
	return func() error { return i.send(m, n) }
}

func (i input) send(m message, n int) error {
	err := i.k.post(i.ctx, m, true)
	if i.ctx.Err() != nil { // it ended, whatever the Send says
		return &transport.Error{Kind: transport.Gone, Host: i.k.c.cfg.Host, Phase: "send", Err: context.Cause(i.ctx)}
	}
	var he *httpError
	if errors.As(err, &he) && he.status == http.StatusRequestEntityTooLarge && n/2 >= minWrite {
		i.max.Store(int64(n / 2))
	}
	return err
}

// Rest gives back the memory that large Sends took: that of the next one is
// made anew.
func (i input) Rest() {
	i.sending.Lock()
	defer i.sending.Unlock()
	i.k.spare = [2][]byte{}
	i.k.c.spare.drop()
}

// lane is a further program of a pipe's shell, which gets input and says
// nothing. A command costs an operation, not a shell, and dies with the shell.
type lane struct{ input }

func (p *pipe) Lane(ctx context.Context, line string) (transport.Lane, error) {
	k, err := p.owner.begin(ctx, p.k.shell, line)
	if err != nil {
		return nil, err
	}
	return lane{newInput(p.ctx, k)}, nil
}

func (l lane) Close() error {
	ctx, cancel := l.k.c.cleanup(l.ctx)
	defer cancel()
	return l.k.terminate(ctx)
}

// Delay is the time of the fastest exchange so far.
func (p *pipe) Delay() time.Duration { return time.Duration(p.k.c.delay.Load()) }
