package rpc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxCalls bounds what one connection may have under way.
const maxCalls = 256

// Handlers answer the calls of a connection.
type Handlers struct {
	Hello func(context.Context, Hello) (HelloReply, error)
	// Put consumes the content's encoded bytes from Put.Offset on; reading
	// acknowledges them. io.EOF comes after Put.Encoded bytes.
	Put   func(context.Context, Put, io.Reader) (PutReply, error)
	calls map[string]func(context.Context, json.RawMessage) (any, error)

	connections connections
}

// Handle registers the handler of a method.
func Handle[P, R any](h *Handlers, method string, f func(context.Context, P) (R, error)) {
	if h.calls == nil {
		h.calls = map[string]func(context.Context, json.RawMessage) (any, error){}
	}
	h.calls[method] = func(ctx context.Context, raw json.RawMessage) (any, error) {
		var params P
		if err := decode(raw, &params); err != nil {
			return nil, err
		}
		return f(ctx, params)
	}
}

// HandleQuiet registers the handler of a method that replies nothing.
func HandleQuiet[P any](h *Handlers, method string, f func(context.Context, P) error) {
	Handle(h, method, func(ctx context.Context, p P) (none, error) { return none{}, f(ctx, p) })
}

// Serve answers calls on conn until the other side closes it (nil), the pipe
// or a frame breaks (the reason), or ctx ends. Contexts of handlers end with
// the connection, and Serve returns after the last of them did.
func Serve(ctx context.Context, conn io.ReadWriteCloser, h *Handlers) error {
	ctx, stop := context.WithCancelCause(ctx)
	s := &server{
		handlers: h, out: newSender(conn, nil), ctx: ctx, stop: stop,
		calls: map[uint32]*serving{},
	}
	unhook := context.AfterFunc(ctx, func() { conn.Close() })
	defer unhook()
	s.busy.Go(func() {
		s.out.run(ctx)
		stop(s.out.err)
	})
	err := s.receive(conn)
	h.connections.remove(s.name, s)
	s.leave()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	stop(cmp.Or(err, ErrClosed))
	s.busy.Wait()
	return err
}

type server struct {
	handlers *Handlers
	out      *sender
	ctx      context.Context
	stop     context.CancelCauseFunc
	busy     sync.WaitGroup
	greeted  bool
	name     string
	main     *server // of a lane

	mu     sync.Mutex
	lanes  int
	calls  map[uint32]*serving
	intake int64 // data bytes that handlers have not read yet
}

// serving is a call under way.
type serving struct {
	stop context.CancelCauseFunc
	data *intake // of a put
}

func (s *server) receive(r io.Reader) error {
	frames := newFrameReader(r, dataReader)
	var messages assembler
	for {
		f, err := frames.read()
		if err == nil {
			err = s.handle(f, &messages)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *server) handle(f frame, messages *assembler) error {
	if !s.greeted && f.kind != kindHello {
		return fmt.Errorf("%w: kind %d before hello", ErrProtocol, f.kind)
	}
	if s.main != nil {
		return s.bring(f)
	}
	switch f.kind {
	case kindData:
		return s.deliver(f)
	case kindCancel:
		messages.drop(f.stream)
		s.cancel(f.stream)
		return nil
	case kindHello, kindRequest:
		message, whole, err := messages.add(f)
		if err != nil || !whole {
			return err
		}
		if f.kind == kindHello {
			return s.greet(f, message)
		}
		return s.start(f.stream, message)
	default:
		return fmt.Errorf("%w: kind %d", ErrProtocol, f.kind)
	}
}

func (s *server) greet(f frame, message []byte) error {
	if s.greeted || f.stream != 0 {
		return fmt.Errorf("%w: second hello", ErrProtocol)
	}
	s.greeted = true
	var hello Hello
	if err := decode(message, &hello); err != nil {
		return s.reply(kindError, 0, err)
	}
	if hello.Lane != "" {
		return s.handlers.connections.join(s, hello.Lane)
	}
	reply, err := s.handlers.Hello(s.ctx, hello)
	if err != nil {
		return s.reply(kindError, 0, asError(err))
	}
	if hello.Name != "" {
		s.name, reply.Lanes = hello.Name, maxLanes
		s.handlers.connections.add(s.name, s)
	}
	return s.reply(kindWelcome, 0, reply)
}

// start runs a request's handler beside the others.
func (s *server) start(stream uint32, message []byte) error {
	var req request
	if err := decode(message, &req); err != nil {
		return s.reply(kindError, stream, err)
	}
	ctx, stop := context.WithCancelCause(s.ctx)
	c := &serving{stop: stop}
	run, err := s.prepare(ctx, stream, req, c)
	if err == nil {
		err = s.add(stream, c)
	}
	if errors.Is(err, ErrProtocol) {
		stop(err)
		return err
	}
	if err != nil {
		stop(err)
		return s.reply(kindError, stream, asError(err))
	}
	if c.data != nil && !c.data.brief { // what the sender waits for before it uses lanes
		_ = s.out.send(s.ctx, frame{kind: kindAck, stream: stream, offset: uint64(c.data.read)}) // a dead connection ends Serve
	}
	s.busy.Go(func() {
		defer stop(nil)
		result, err := protect(req.Method, run)
		s.remove(stream, c)
		if err != nil {
			_ = s.reply(kindError, stream, asError(err)) // a dead connection ends Serve by itself
			return
		}
		_ = s.reply(kindReply, stream, result)
	})
	return nil
}

// prepare finds what to run.
func (s *server) prepare(ctx context.Context, stream uint32, req request, c *serving) (func() (any, error), error) {
	if req.Method == MethodPut {
		var p Put
		if err := decode(req.Params, &p); err != nil {
			return nil, err
		}
		if p.Offset < 0 || p.Encoded < p.Offset || p.Size < 0 {
			return nil, Errorf(CodeFailed, "", "put: offset %d of %d bytes", p.Offset, p.Encoded)
		}
		c.data = newIntake(ctx, s, stream, p)
		return func() (any, error) { return s.handlers.Put(ctx, p, c.data) }, nil
	}
	f, ok := s.handlers.calls[req.Method]
	if !ok {
		return nil, Errorf(CodeUnsupported, "upgrade shipper on both sides to the same version", "unknown method %q", req.Method)
	}
	return func() (any, error) { return f(ctx, req.Params) }, nil
}

// add books a call; a stream is used once.
func (s *server) add(stream uint32, c *serving) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stream == 0 || s.calls[stream] != nil {
		return fmt.Errorf("%w: stream %d used twice", ErrProtocol, stream)
	}
	if len(s.calls) >= maxCalls {
		return Errorf(CodeFailed, "", "more than %d calls at once", maxCalls)
	}
	s.calls[stream] = c
	return nil
}

func (s *server) remove(stream uint32, c *serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, stream)
	if c.data != nil {
		s.intake -= c.data.drop()
	}
}

func (s *server) cancel(stream uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[stream]; c != nil {
		c.stop(context.Canceled)
	}
}

// deliver hands data to its put; data of a put that ended already is dropped.
func (s *server) deliver(f frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[f.stream]
	if c == nil || c.data == nil {
		return nil
	}
	if s.intake += int64(len(f.payload)); s.intake > Window {
		return fmt.Errorf("%w: more than %d bytes unacknowledged", ErrProtocol, Window)
	}
	return c.data.add(f, s.lanes > 0)
}

// consumed frees room and tells the sender.
func (s *server) consumed(stream uint32, n int, upTo int64, tell bool) {
	s.mu.Lock()
	s.intake -= int64(n)
	s.mu.Unlock()
	if tell {
		_ = s.out.send(s.ctx, frame{kind: kindAck, stream: stream, offset: uint64(upTo)})
	}
}

func (s *server) reply(k kind, stream uint32, v any) error {
	message, err := json.Marshal(v)
	if err == nil && len(message) > MaxMessage {
		err = fmt.Errorf("reply of %d bytes is above the limit of %d", len(message), MaxMessage)
	}
	if err != nil {
		k = kindError
		message, _ = json.Marshal(asError(err)) // strings only: cannot fail
	}
	return s.out.send(s.ctx, cut(k, stream, message, s.out.piece)...)
}

// protect keeps one call's panic from ending the guard.
func protect(method string, run func() (any, error)) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Errorf(CodeFailed, "", "%s: internal error: %v", method, p)
		}
	}()
	return run()
}

func decode(raw []byte, into any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return Errorf(CodeFailed, "", "decode parameters: %v", err)
	}
	return nil
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeFailed, Message: err.Error()}
}
