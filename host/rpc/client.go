package rpc

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Client talks to the guard of one host. Safe for concurrent use: calls are
// multiplexed, a long one holds up nobody.
type Client struct {
	conn   io.Closer
	out    *sender
	shared chan frame // data that any lane may take
	name   string     // of this connection
	window window
	stop   context.CancelCauseFunc
	done   chan struct{} // closed when nothing is received any more

	mu      sync.Mutex
	calls   map[uint32]*pending
	last    uint32
	seen    map[string]int64 // by service and run: the last Ask that arrived
	lanes   []io.Closer
	senders []*sender // of the lanes
	err     error     // why the connection ended
}

// pending is a call that waits for its answer.
type pending struct {
	answer chan answer // buffered: one answer
	sent   int64       // data bytes not yet acknowledged, of a put
	acked  uint64
	put    bool
	begun  chan struct{} // of a put: closed when the host waits for its data
	once   sync.Once
}

type answer struct {
	payload []byte
	err     error
}

// Dial says hello over conn and returns a client when the guard answered and
// the versions meet. If conn has a method MaxWrite() int, no Write is longer.
// The client owns conn; when Dial fails, conn is closed. Errors: *Error with
// CodeProtocol when the versions do not meet, *BrokenError for a dead pipe.
func Dial(ctx context.Context, conn io.ReadWriteCloser, hello Hello) (*Client, HelloReply, error) {
	running, stop := context.WithCancelCause(context.Background())
	hello.Name = rand.Text()
	shared := make(chan frame)
	c := &Client{
		conn: conn, out: newSender(conn, shared), shared: shared, name: hello.Name, stop: stop,
		done: make(chan struct{}), calls: map[uint32]*pending{}, seen: map[string]int64{},
	}
	greeting := c.expect(0, false)
	go func() {
		c.out.run(running)
		c.fail(c.out.err)
	}()
	go c.receive(conn)
	reply, err := c.greet(ctx, greeting, hello)
	if err != nil {
		c.fail(err)
		return nil, reply, err
	}
	return c, reply, nil
}

// Close ends the connection; calls that still wait get a BrokenError.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	return nil
}

// Done is closed when the connection ended, by whomever.
func (c *Client) Done() <-chan struct{} { return c.done }

func (c *Client) greet(ctx context.Context, greeting *pending, hello Hello) (HelloReply, error) {
	var reply HelloReply
	message, err := json.Marshal(hello)
	if err != nil {
		return reply, fmt.Errorf("encode hello: %w", err)
	}
	if err := c.out.send(ctx, cut(kindHello, 0, message, c.out.piece)...); err != nil {
		return reply, err
	}
	payload, err := c.wait(ctx, 0, greeting)
	if err != nil {
		return reply, err
	}
	if err := json.Unmarshal(payload, &reply); err != nil {
		return reply, &BrokenError{Err: fmt.Errorf("decode hello: %w", err)}
	}
	return reply, meet(hello.Protocol, reply)
}

// meet decides whether a controller of protocol mine can drive that guard.
func meet(mine int, guard HelloReply) error {
	if guard.Protocol > mine {
		return Errorf(CodeProtocol, "upgrade shipper",
			"the host's guard %s speaks protocol %d, this shipper only %d", guard.Version, guard.Protocol, mine)
	}
	if guard.Protocol < mine-1 {
		return Errorf(CodeProtocol, "use an older shipper, or remove the service with it first",
			"the host's guard %s speaks protocol %d, this shipper %d and %d", guard.Version, guard.Protocol, mine, mine-1)
	}
	return nil
}

// call sends a request and waits for its answer.
func call[R any](ctx context.Context, c *Client, method string, params any) (R, error) {
	var reply R
	id, p := c.open(false)
	if err := c.request(ctx, id, method, params); err != nil {
		c.abandon(id)
		return reply, err
	}
	payload, err := c.wait(ctx, id, p)
	if err != nil {
		return reply, err
	}
	if len(payload) == 0 {
		return reply, nil
	}
	if err := json.Unmarshal(payload, &reply); err != nil {
		return reply, fmt.Errorf("decode reply to %s: %w", method, err)
	}
	return reply, nil
}

func (c *Client) request(ctx context.Context, id uint32, method string, params any) error {
	raw, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	message, err := json.Marshal(request{Method: method, Params: raw})
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	if len(message) > MaxMessage {
		return fmt.Errorf("%s: %d bytes are above the limit of %d", method, len(message), MaxMessage)
	}
	return c.out.send(ctx, cut(kindRequest, id, message, c.out.piece)...)
}

// wait returns the answer; a caller that gives up tells the other side.
func (c *Client) wait(ctx context.Context, id uint32, p *pending) ([]byte, error) {
	select {
	case a := <-p.answer:
		return a.payload, a.err
	case <-ctx.Done():
		if c.abandon(id) {
			return nil, context.Cause(ctx)
		}
		a := <-p.answer // it came at the same moment
		return a.payload, a.err
	}
}

// abandon forgets a call and tells the other side, which is not waited for:
// the wire may be stuck. It reports whether the call was still open.
func (c *Client) abandon(id uint32) bool {
	open := c.forget(id)
	if open && id != 0 {
		go c.out.send(context.Background(), frame{kind: kindCancel, stream: id})
	}
	return open
}

// open registers a new call.
func (c *Client) open(put bool) (uint32, *pending) {
	c.mu.Lock()
	c.last++
	id := c.last
	c.mu.Unlock()
	return id, c.expect(id, put)
}

func (c *Client) expect(id uint32, put bool) *pending {
	p := &pending{answer: make(chan answer, 1), put: put, begun: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		p.answer <- answer{err: &BrokenError{Err: c.err}}
		return p
	}
	c.calls[id] = p
	return p
}

// forget drops a call; what it had in flight counts no longer.
func (c *Client) forget(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.calls[id]
	if ok {
		delete(c.calls, id)
		c.window.give(p.sent)
		p.sent = 0
	}
	return ok
}

// fail ends the connection and every call that waits.
func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // nobody says goodbye while calls may come
	}
	c.err = err
	for id, p := range c.calls {
		delete(c.calls, id)
		p.answer <- answer{err: &BrokenError{Err: err}}
	}
	c.stop(err)
	close(c.done)
	for _, conn := range append(c.lanes, c.conn) {
		go conn.Close() // may take its time on a dead wire; nobody waits for it
	}
}

func (c *Client) receive(r io.Reader) {
	frames := newFrameReader(r, littleReader)
	var messages assembler
	for {
		f, err := frames.read()
		if err == nil {
			err = c.handle(f, &messages)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *Client) handle(f frame, messages *assembler) error {
	switch f.kind {
	case kindAck:
		c.acknowledge(f)
		return nil
	case kindReply, kindWelcome, kindError:
		message, whole, err := messages.add(f)
		if whole {
			c.answer(f, message)
		}
		return err
	default:
		return fmt.Errorf("%w: kind %d", ErrProtocol, f.kind)
	}
}

func (c *Client) answer(f frame, message []byte) {
	a := answer{payload: message}
	if f.kind == kindError {
		remote := &Error{Code: CodeFailed}
		if err := json.Unmarshal(message, remote); err != nil {
			remote.Message = fmt.Sprintf("the guard's error cannot be read: %q", message)
		}
		a = answer{err: remote}
	}
	c.mu.Lock()
	p := c.calls[f.stream]
	c.mu.Unlock()
	if p != nil && c.forget(f.stream) {
		p.answer <- a
	}
}

func (c *Client) acknowledge(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.calls[f.stream]
	if p == nil || !p.put {
		return
	}
	p.once.Do(func() { close(p.begun) })
	if f.offset <= p.acked {
		return
	}
	n := min(int64(f.offset-p.acked), p.sent)
	p.acked = f.offset
	p.sent -= n
	c.window.give(n)
}
