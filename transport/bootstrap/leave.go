package bootstrap

import (
	"context"
	"errors"
	"time"

	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/transport"
)

// How often the folder is tried while its last program ends.
const (
	leaveTries = 10
	leavePause = 500 * time.Millisecond
)

// Leave takes the helper off a host on which no service is left: its guard,
// its data and its own folder. A host without a helper is left already.
func Leave(ctx context.Context, conn transport.Conn, o Options) error {
	place, err := Locate(ctx, conn, "", o)
	if errors.Is(err, ErrMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := survey(ctx, conn, o)
	if err != nil {
		return err
	}
	line := s.lines.quote(place.Path) + " uninstall"
	if s.root != "" {
		line += " --root " + s.lines.quote(s.root)
	}
	r, err := conn.Run(ctx, line, nil)
	if err != nil {
		return err
	}
	if r.Exit != 0 {
		return problem.New(problem.Failed, "", "take the guard off the host: exit code %d: %s", r.Exit, words(r))
	}
	if o.Keep {
		return nil
	}
	return s.clear(ctx)
}

// clear removes the folder of programs; Windows lets go of the last one a
// moment after it ended.
func (s *site) clear(ctx context.Context) error {
	for try := 1; ; try++ {
		s.remove(ctx, s.programs)
		there, err := s.conn.Run(ctx, s.lines.exists(s.programs), nil)
		if err != nil || there.Exit != 0 {
			return err
		}
		if try == leaveTries {
			return problem.New(problem.Failed, "something still uses it; remove it by hand", "remove %s", s.programs)
		}
		if err := wait(ctx, leavePause); err != nil {
			return err
		}
	}
}
