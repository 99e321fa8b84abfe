package recovery_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/service/recovery"
)

func ExampleSupervisor() {
	s := recovery.NewSupervisor("sync", recovery.Policy{Failures: 3, Backoff: time.Millisecond}, slog.New(slog.DiscardHandler))
	ctx := context.Background()
	tries := 0
	err := s.Run(ctx, func(ctx context.Context, beat func()) error {
		beat()
		if tries++; tries < 3 {
			return errors.New("database is away")
		}
		return nil
	})
	fmt.Println(tries, err, s.Check(ctx))
	// Output: 3 <nil> <nil>
}

func ExampleCheckpoint() {
	dir, _ := os.MkdirTemp("", "checkpoint")
	defer os.RemoveAll(dir)
	type progress struct{ Page int }
	c := recovery.NewCheckpoint[progress](filepath.Join(dir, "sync"), 1, nil)
	if err := c.Save(progress{Page: 7}); err != nil {
		panic(err)
	}
	p, found, err := c.Load() // at the next start
	fmt.Println(p.Page, found, err)
	// Output: 7 true <nil>
}

func ExampleWatch() {
	dir, _ := os.MkdirTemp("", "recovery")
	defer os.RemoveAll(dir)
	crashes, err := recovery.Watch(recovery.Options{Dir: dir, Name: "orders", Version: "1.2.3"})
	if err != nil {
		panic(err)
	}
	fmt.Println("the last run crashed:", crashes.Last() != nil)
	err = crashes.Supervisor("sync").Run(context.Background(), func(context.Context, func()) error { return nil })
	fmt.Println(err, crashes.End(err))
	// Output:
	// the last run crashed: false
	// <nil> <nil>
}
