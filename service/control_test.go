package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// controlled runs a service with a remote control and gives its folder.
func controlled(t *testing.T, opts ...Option) (*Service, string, *story, func() error) {
	t.Helper()
	dir, err := os.MkdirTemp("", "kit") // short: a socket's path is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	dir = filepath.Join(dir, "run")
	ready := make(chan struct{})
	s, ctx, told := begin(t, readyFunc(), append([]Option{WithControl(dir), OnState(func(tr Transition) {
		if tr.To == Running {
			close(ready)
		}
	})}, opts...)...)
	ended := make(chan error, 1)
	go func() { ended <- s.live(ctx) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	return s, dir, told, func() error { s.Stop(nil); return <-ended }
}

func TestRemoteControl(t *testing.T) {
	var level string
	badReload := errors.New("log_level: want debug, info, warn or error")
	var reload error
	s, dir, told, stop := controlled(t,
		WithReload(func(context.Context) error { return reload }),
		WithSet(func(_ context.Context, key, value string) error {
			if key != "log_level" {
				return errors.New("no such key")
			}
			level = value
			return nil
		}))
	send := func(c Command) (Answer, error) { return Control(t.Context(), dir, "", c) }
	steps := []struct {
		send   Command
		before func()
		says   string // of the error; empty: executed
		refuse bool
	}{
		{send: Command{Command: CommandStatus}},
		{send: Command{Command: CommandSet, Key: "log_level", Value: "secret-looking"}},
		{send: Command{Command: CommandSet, Key: "password", Value: "x"}, says: "no such key"},
		{send: Command{Command: CommandSet}, says: "want SET of a key", refuse: true},
		{send: Command{Command: CommandReload}},
		{send: Command{Command: CommandReload}, before: func() { reload = badReload }, says: badReload.Error()},
		{send: Command{Command: "stop"}, says: "unknown command", refuse: true},
		{send: Command{Command: ""}, says: "unknown command", refuse: true},
		{send: Command{Command: CommandDrain}},
		{send: Command{Command: CommandContinue}},
	}
	for _, step := range steps {
		if step.before != nil {
			step.before()
		}
		a, err := send(step.send)
		if (err == nil) != (step.says == "") || err != nil && !strings.Contains(err.Error(), step.says) || errors.Is(err, ErrRefused) != step.refuse {
			t.Errorf("%+v: %v", step.send, err)
		}
		if a.Report == nil || a.Report.State != Running || a.Report.Paused != (step.send.Command == CommandDrain) {
			t.Errorf("%+v: report %+v", step.send, a.Report)
		}
	}
	if level != "secret-looking" {
		t.Errorf("set %q", level)
	}
	if a, err := send(Command{Command: CommandStop}); err != nil || !a.OK {
		t.Errorf("stop: %+v, %v", a, err)
	}
	if err := stop(); err != nil || s.State().To != Stopped {
		t.Errorf("stopped: %v, %s", err, s.State().To)
	}
	log := told.logged()
	for _, want := range []string{"command=SET key=log_level", "command=RELOAD", "command=STOP", "asked to stop by remote control", "event_id=10"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %s", want, log)
		}
	}
	if strings.Contains(log, "secret-looking") {
		t.Error("the log has the value that was set")
	}
	if _, err := send(Command{Command: CommandStatus}); !errors.Is(err, ErrNoControl) {
		t.Errorf("after the end: %v", err)
	}
}

// The state machine decides what may be asked when.
func TestCommandsByState(t *testing.T) {
	s, ctx, _ := begin(t, readyFunc())
	commands := []string{CommandStatus, CommandStop, CommandDrain, CommandContinue, CommandReload, CommandSet}
	refused := map[State]string{
		Init:     "DRAIN CONTINUE RELOAD SET",
		Running:  "",
		Degraded: "",
		Stopping: "STOP DRAIN CONTINUE RELOAD SET",
		Stopped:  "STOP DRAIN CONTINUE RELOAD SET",
	}
	s.o.reload = append(s.o.reload, func(context.Context) error { return nil })
	s.o.set = func(context.Context, string, string) error { return nil }
	for _, state := range []State{Init, Running, Degraded, Stopping, Stopped} {
		if state != Init {
			if err := s.machine.enter(state, "test"); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range commands {
			err := s.execute(ctx, Command{Command: c, Key: "k"})
			no := false
			for word := range strings.FieldsSeq(refused[state]) {
				no = no || word == c
			}
			if errors.Is(err, ErrRefused) != no || !no && err != nil {
				t.Errorf("%s while %s: %v", c, state, err)
			}
		}
	}
}

// DRAIN is acknowledged when the last request has its answer.
func TestDrainWaitsForWhatIsInFlight(t *testing.T) {
	s, dir, _, stop := controlled(t)
	begun, finish := make(chan struct{}), make(chan struct{})
	web := httptest.NewServer(s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		io.WriteString(w, "done")
	})))
	defer web.Close()
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Get(web.URL)
		if err == nil {
			resp.Body.Close()
		}
		answered <- err
	}()
	<-begun
	drained := make(chan error, 1)
	go func() {
		_, err := Control(t.Context(), dir, "", Command{Command: CommandDrain})
		drained <- err
	}()
	for !s.Paused() {
		if _, err := Control(t.Context(), dir, "", Command{Command: CommandStatus}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-drained:
		t.Errorf("drained with a request in flight: %v", err)
	default:
	}
	close(finish)
	if err := errors.Join(<-drained, <-answered); err != nil {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func FuzzReadCommand(f *testing.F) {
	for _, seed := range []string{`{"command":"STOP"}` + "\n", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "\n", "{}", `{"command":1}` + "\n", strings.Repeat("x", maxCommand+1) + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := readCommand(strings.NewReader(text))
		if err != nil && (!errors.Is(err, ErrRefused) || c != Command{}) {
			t.Errorf("%q: %+v, %v", text, c, err)
		}
		if err == nil && !json.Valid([]byte(text[:strings.Index(text, "\n")+1])) {
			t.Errorf("%q became %+v", text, c)
		}
	})
}
