package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// maxLanes is how many lanes a guard takes beside a connection.
const maxLanes = 8

// ErrLane ends a connection one of whose lanes ended while data was under way:
// what was on it may be lost.
var ErrLane = errors.New("a lane of the connection broke")

// Lane adds a way for the data of pushes: conn leads to the same guard, and
// nothing is read from it. One stream is strictly ordered and waits for each
// Write; with lanes some are always on their way. Any sender takes the next
// piece, and the guard puts them in order again. The client owns conn; when a
// lane breaks, the connection is over. The guard must know of lanes:
// HelloReply.Lanes.
func (c *Client) Lane(conn io.WriteCloser) error {
	hello, err := json.Marshal(Hello{Protocol: Protocol, Lane: c.name})
	if err != nil {
		return fmt.Errorf("encode hello: %w", err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	s := newSender(conn, c.shared)
	s.wide.Store(true)
	c.out.wide.Store(true)
	if err := s.send(ctx, cut(kindHello, 0, hello, s.piece)...); err != nil {
		stop(err)
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		stop(c.err)
		go conn.Close()
		return &BrokenError{Err: c.err}
	}
	c.lanes, c.senders = append(c.lanes, conn), append(c.senders, s)
	go func() {
		defer stop(nil)
		s.run(ctx)
		c.fail(fmt.Errorf("%w: %w", ErrLane, s.err))
	}()
	go func() {
		<-c.done
		stop(ErrClosed)
	}()
	return nil
}

// connections finds the main connection of a lane.
type connections struct {
	mu   sync.Mutex
	open map[string]*server // by Hello.Name
}

func (c *connections) add(name string, s *server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[string]*server{}
	}
	c.open[name] = s
}

func (c *connections) remove(name string, s *server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[name] == s {
		delete(c.open, name)
	}
}

// join makes s a lane.
func (c *connections) join(s *server, name string) error {
	c.mu.Lock()
	main := c.open[name]
	c.mu.Unlock()
	if main == nil {
		return fmt.Errorf("%w: lane of an unknown connection", ErrProtocol)
	}
	main.mu.Lock()
	defer main.mu.Unlock()
	if main.lanes >= maxLanes {
		return fmt.Errorf("%w: more than %d lanes", ErrProtocol, maxLanes)
	}
	main.lanes++
	s.main = main
	return nil
}

// bring hands a lane's data to the connection it belongs to.
func (s *server) bring(f frame) error {
	if f.kind != kindData {
		return fmt.Errorf("%w: kind %d on a lane", ErrProtocol, f.kind)
	}
	err := s.main.deliver(f)
	if err != nil {
		s.main.stop(err)
	}
	return err
}

// leave ends the main connection of a lane if data was under way: some of it
// may never come.
func (s *server) leave() {
	if s.main == nil {
		return
	}
	s.main.mu.Lock()
	defer s.main.mu.Unlock()
	s.main.lanes--
	for _, c := range s.main.calls {
		if c.data != nil && !c.data.whole() {
			s.main.stop(ErrLane)
		}
	}
}
