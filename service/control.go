package service

import (
	"bufio"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// The commands of the remote control.
const (
	CommandStop     = "STOP"     // ends the service as the service manager would
	CommandDrain    = "DRAIN"    // holds new work and waits until none is in flight
	CommandContinue = "CONTINUE" // takes new work again
	CommandReload   = "RELOAD"   // reads the configuration again
	CommandSet      = "SET"      // sets Key to Value until the end of the process
	CommandStatus   = "STATUS"   // only asks for the report
)

// Command is what the remote control is asked to do.
type Command struct {
	Command string `json:"command"`
	Key     string `json:"key,omitempty"`   // of SET
	Value   string `json:"value,omitempty"` // of SET; never logged
	Token   string `json:"token,omitempty"` // Windows: from the address file
}

// Answer acknowledges a command: OK once it was executed, else Error says why
// it was refused or failed. Report is how the service is afterwards.
type Answer struct {
	OK     bool    `json:"ok"`
	Error  string  `json:"error,omitempty"`
	Report *Report `json:"report,omitempty"`
}

// Errors of the remote control.
var (
	// ErrRefused: the service is in no state for the command, does not know it,
	// or does not accept the caller.
	ErrRefused = errors.New("refused")
	// ErrNoControl: no service answers there.
	ErrNoControl = errors.New("no service answers")
)

// allowed says in which states a command makes sense.
func allowed(command string) []State {
	switch command {
	case CommandStatus:
		return []State{Init, Running, Degraded, Stopping, Stopped}
	case CommandStop:
		return []State{Init, Running, Degraded}
	case CommandDrain, CommandContinue, CommandReload, CommandSet:
		return []State{Running, Degraded}
	default:
		return nil
	}
}

// What a caller may send, and how many are served at once.
const (
	maxCommand   = 64 << 10 // bytes
	commandTime  = 10 * time.Second
	maxCallers   = 8
	controlPoint = "control"
)

// control answers one command per connection: a line of JSON each way.
type control struct {
	s        *Service
	listener net.Listener
	token    string // "" where the system tells who calls
	slots    chan struct{}
	serving  sync.WaitGroup
	remove   func() // the address file
}

// openControl begins to answer, if there is to be a remote control.
func (s *Service) openControl(ctx context.Context) (func(), error) {
	if s.o.controlDir == "" {
		return func() {}, nil
	}
	c := &control{s: s, slots: make(chan struct{}, maxCallers)}
	if err := c.listen(s.o.controlDir, pointName(s.o.slot)); err != nil {
		return func() {}, fmt.Errorf("open remote control: %w", err)
	}
	c.serving.Go(func() { c.serve(ctx) })
	return func() {
		c.listener.Close()
		c.remove()
		c.serving.Wait()
	}, nil
}

// pointName keeps the slots of one service apart.
func pointName(slot string) string {
	if slot == "" {
		return controlPoint
	}
	return controlPoint + "-" + slot
}

func (c *control) serve(ctx context.Context) {
	for {
		conn, err := c.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			c.s.log.Warn("remote control", "error", err)
			if !sleep(ctx, 100*time.Millisecond) { // out of files, mostly
				return
			}
			continue
		}
		select {
		case c.slots <- struct{}{}:
		default:
			conn.Close() // whoever waits with open connections keeps no one else
			continue
		}
		c.serving.Go(func() {
			defer func() { <-c.slots }()
			defer conn.Close()
			c.answer(ctx, conn)
		})
	}
}

func (c *control) answer(ctx context.Context, conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(commandTime))
	who, err := c.peer(conn)
	var cmd Command
	if err == nil {
		cmd, err = readCommand(conn)
	}
	if err == nil {
		err = c.authenticate(cmd.Token)
	}
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(c.s.o.drain + commandTime)) // a drain takes that long
		err = c.s.execute(ctx, cmd)
	}
	a := Answer{OK: err == nil}
	if err != nil {
		a.Error = err.Error()
	}
	c.record(ctx, who, cmd, err)
	if who != "" && c.authenticate(cmd.Token) == nil { // strangers learn nothing
		r := c.s.Report()
		a.Report = &r
	}
	_ = json.NewEncoder(conn).Encode(a) // the caller may be gone; it was recorded
}

func (c *control) authenticate(token string) error {
	if subtle.ConstantTimeCompare([]byte(token), []byte(c.token)) != 1 {
		return fmt.Errorf("%w: wrong token", ErrRefused)
	}
	return nil
}

func readCommand(r io.Reader) (Command, error) {
	var cmd Command
	line, err := bufio.NewReader(io.LimitReader(r, maxCommand)).ReadBytes('\n')
	if err != nil {
		return cmd, fmt.Errorf("%w: no line of at most %d bytes", ErrRefused, maxCommand)
	}
	if err := json.Unmarshal(line, &cmd); err != nil {
		return Command{}, fmt.Errorf("%w: not a command", ErrRefused)
	}
	return cmd, nil
}

// record keeps who asked for what, and what became of it, but no value.
func (c *control) record(ctx context.Context, who string, cmd Command, err error) {
	log := c.s.log.With("command", cmd.Command, "key", cmd.Key, "by", who)
	switch {
	case err != nil:
		log.WarnContext(ctx, "remote control", eventControl, "error", err)
	case cmd.Command == CommandStatus:
		log.DebugContext(ctx, "remote control")
	default:
		log.InfoContext(ctx, "remote control", eventControl)
	}
}

// execute carries a command out if the state allows it.
func (s *Service) execute(ctx context.Context, c Command) error {
	states := allowed(c.Command)
	if states == nil {
		return fmt.Errorf("%w: unknown command %q", ErrRefused, c.Command)
	}
	if state := s.State().To; !slices.Contains(states, state) {
		return fmt.Errorf("%w: %s is not possible while %s", ErrRefused, c.Command, state)
	}
	switch c.Command {
	case CommandStop:
		s.Stop(fmt.Errorf("%w by remote control", ErrStop))
	case CommandDrain:
		limited, cancel := context.WithTimeoutCause(ctx, s.o.drain, fmt.Errorf("drain time of %s is over", s.o.drain))
		defer cancel()
		return s.awaitIdle(limited)
	case CommandContinue:
		return s.Continue(ctx)
	case CommandReload:
		if len(s.o.reload) == 0 {
			return fmt.Errorf("%w: nothing can be reloaded", ErrRefused)
		}
		return s.Reload(ctx)
	case CommandSet:
		if s.o.set == nil || c.Key == "" {
			return fmt.Errorf("%w: want SET of a key that the service knows", ErrRefused)
		}
		return s.o.set(ctx, c.Key, c.Value)
	}
	return nil
}

// Control sends a command to the service whose remote control is in dir
// ([WithControl]), in the slot, "" outside of shipper. ErrNoControl says that
// none answers there, ErrRefused that this one says no; else the error is what
// the command failed with.
func Control(ctx context.Context, dir, slot string, c Command) (Answer, error) {
	conn, token, err := dialControl(ctx, dir, pointName(slot))
	if err != nil {
		return Answer{}, fmt.Errorf("remote control in %s: %w: %w", dir, ErrNoControl, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c.Token = token
	line, err := json.Marshal(c)
	if err != nil {
		return Answer{}, err
	}
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return Answer{}, fmt.Errorf("remote control: %w", err)
	}
	var a Answer
	if err := json.NewDecoder(io.LimitReader(conn, 1<<20)).Decode(&a); err != nil {
		return Answer{}, fmt.Errorf("remote control: no answer: %w", errors.Join(err, context.Cause(ctx)))
	}
	switch {
	case a.OK:
		return a, nil
	case strings.HasPrefix(a.Error, ErrRefused.Error()):
		return a, fmt.Errorf("%w%s", ErrRefused, strings.TrimPrefix(a.Error, ErrRefused.Error()))
	default:
		return a, errors.New(a.Error)
	}
}
