package host

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
)

// netshTimeout bounds one change of the firewall.
const netshTimeout = 30 * time.Second

// settleFirewall makes or removes the rule for the public port, as the
// committed configuration says. A rule that is there is changed, not made anew,
// so that the port is never closed meanwhile. A failure is a note: what is
// released serves all the same.
func (s *service) settleFirewall(ctx context.Context, st state) {
	want := openPorts(st.Traffic) != "" && st.Traffic.Router == embedded && st.Stable != ""
	if !want && !st.Firewall {
		return
	}
	err := s.do(ctx, func() error { // before the rule is there: whoever removes the service must know
		return s.change(func(st *state) { st.Firewall = st.Firewall || want })
	})
	switch {
	case err != nil:
	case want:
		err = s.openPort(ctx, openPorts(st.Traffic))
	default:
		err = s.closePort(ctx)
	}
	if err != nil {
		s.tell(func() { s.noteOnce("the firewall's rule " + ruleName(s.name) + ": " + err.Error()) })
	}
}

// openPorts are those that the rule opens, as netsh wants them.
func openPorts(t rpc.TrafficConfig) string {
	var open []string
	if t.Firewall {
		open = append(open, port(t.Listen))
	}
	if t.PreviewFirewall && t.Preview != "" {
		open = append(open, port(t.Preview))
	}
	return strings.Join(open, ",")
}

func (s *service) noteOnce(text string) {
	s.log.Warn(text)
	if slices.Contains(s.st.Notes, text) {
		return
	}
	if err := s.change(func(st *state) { st.note(text) }); err != nil {
		s.log.Warn("a note was not kept", "error", err)
	}
}

func (s *service) openPort(ctx context.Context, port string) error {
	rule := []string{"profile=any", "protocol=TCP", "localport=" + port, "action=allow", "enable=yes"}
	if s.netsh(ctx, append([]string{"set", "rule", "name=" + ruleName(s.name), "dir=in", "new"}, rule...)...) == nil {
		return nil
	}
	return s.netsh(ctx, append([]string{"add", "rule", "name=" + ruleName(s.name), "dir=in"}, rule...)...)
}

// closePort removes the rule. One that is gone already is no failure, but
// netsh tells that like any other; so it is asked. Without netsh none was made.
func (s *service) closePort(ctx context.Context) error {
	err := s.netsh(ctx, "delete", "rule", "name="+ruleName(s.name))
	if err != nil && !errors.Is(err, exec.ErrNotFound) && s.netsh(ctx, "show", "rule", "name="+ruleName(s.name)) == nil {
		return err
	}
	return s.do(ctx, func() error { return s.change(func(st *state) { st.Firewall = false }) })
}

func ruleName(service string) string { return "shipper-" + service }

func (s *service) netsh(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, netshTimeout)
	defer cancel()
	if err := s.g.opts.Netsh(ctx, append([]string{"advfirewall", "firewall"}, args...)); err != nil {
		return fmt.Errorf("netsh %s rule: %w", args[0], err)
	}
	return nil
}

// runNetsh starts the program itself: no shell reads the arguments.
func runNetsh(ctx context.Context, args []string) error {
	path, err := netshPath()
	if err != nil {
		return err
	}
	return exec.CommandContext(ctx, path, args...).Run()
}
