package winrm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
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
	max     *int
}

func newInput(life context.Context, k *command) input {
	most := k.c.build.maxSend()
	return input{k: k, ctx: life, sending: &sync.Mutex{}, max: &most}
}

// MaxWrite is what fits the host's envelopes.
func (i input) MaxWrite() int {
	i.sending.Lock()
	defer i.sending.Unlock()
	return *i.max
}

// Write is one Send.
func (i input) Write(b []byte) (int, error) {
	i.sending.Lock()
	defer i.sending.Unlock()
	if len(b) > *i.max {
		return 0, fmt.Errorf("write of %d bytes: at most %d", len(b), *i.max)
	}
	err := i.k.send(i.ctx, b, false, true)
	if i.ctx.Err() != nil { // it ended, whatever the Send says
		return 0, &transport.Error{Kind: transport.Gone, Host: i.k.c.cfg.Host, Phase: "send", Err: context.Cause(i.ctx)}
	}
	var he *httpError
	if errors.As(err, &he) && he.status == http.StatusRequestEntityTooLarge && len(b)/2 >= minWrite {
		*i.max = len(b) / 2
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// Rest gives back the memory that large Sends took: that of the next one is
// made anew.
func (i input) Rest() {
	i.sending.Lock()
	defer i.sending.Unlock()
	i.k.buf = nil
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
