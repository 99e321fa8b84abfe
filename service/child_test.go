package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// childArg makes the test's executable a service; a kind and NAME=value pairs
// for its environment follow, then what its own command line is.
const childArg = "-service-test-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == childArg {
		child(os.Args[2], os.Args[3:])
		return
	}
	prepare()
	os.Exit(m.Run())
}

func child(kind string, args []string) {
	own := []string{childArg, kind}
	for len(args) > 0 && strings.Contains(args[0], "=") {
		name, value, _ := strings.Cut(args[0], "=")
		os.Setenv(name, value)
		own, args = append(own, args[0]), args[1:]
	}
	os.Args = append(os.Args[:1], args...)
	name := os.Getenv("KIT_NAME")
	if name == "" {
		name = "kit-test"
	}
	p := &program{kind: kind}
	Main(name, Func(p.run),
		WithRegistration(Registration{Args: own, Description: "a test's service", Recovery: []time.Duration{time.Second},
			Watchdog: 2 * time.Second, Socket: os.Getenv("KIT_SOCKET")}),
		WithControl(os.Getenv("KIT_CONTROL")), WithDrainTimeout(p.drain()), WithLiveness(p.alive),
		WithReload(func(context.Context) error { return p.appendLine("reload", "reload\n") }),
		WithJob(Job{Name: "count", Every: 50 * time.Millisecond, Singleton: true, Run: func(context.Context) error {
			return p.appendLine("jobs", "x")
		}}))
}

// program is what the child serves. /slow answers once it has its body.
type program struct {
	kind string
	dead atomic.Bool
}

func (p *program) drain() time.Duration {
	if p.kind == "hang" {
		return 100 * time.Millisecond
	}
	return 20 * time.Second
}

func (p *program) alive() error {
	if p.dead.Load() {
		return errors.New("told to be dead")
	}
	return nil
}

// appendLine writes to a file in KIT_DIR, if there is one.
func (p *program) appendLine(name, text string) error {
	dir := os.Getenv("KIT_DIR")
	if dir == "" {
		return nil
	}
	f, err := os.OpenFile(dir+string(os.PathSeparator)+name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (p *program) run(ctx context.Context) error {
	if p.kind == "fail" {
		return errors.New("told to fail")
	}
	s, mux := From(ctx), http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s", s.Mode(), s.Role())
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "at last ", err)
	})
	mux.HandleFunc("/dead", func(http.ResponseWriter, *http.Request) { p.dead.Store(true) })
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	err := Serve(ctx, "", mux)
	if p.kind == "hang" {
		select {}
	}
	return err
}
