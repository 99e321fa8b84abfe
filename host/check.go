package host

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/rpc"
	"github.com/go-shipper/shipper/host/scm"
	"github.com/go-shipper/shipper/release"
)

// maxExcerpt bounds what is shown of an answer's body, in bytes.
const maxExcerpt = 300

// check runs one smoke check against the run's slot. It changes nothing, so
// it is no task; it ends when the run does.
func (s *service) check(ctx context.Context, p rpc.Check) (rpc.CheckReply, error) {
	var slot release.Slot
	var port int
	look := func() error {
		err := s.mayShift(p.Fenced)
		if err == nil {
			slot = s.st.Run.Slot
			port = s.st.Slots[slot].Port
		}
		return err
	}
	if err := s.do(ctx, look); err != nil {
		return rpc.CheckReply{}, err
	}
	return s.repeat(ctx, slot, port, p, func() error { return s.do(ctx, look) })
}

// repeat probes until it was good often enough in a row, or the deadline;
// still says in between whether it is worth while.
func (s *service) repeat(ctx context.Context, slot release.Slot, port int, p rpc.Check, still func() error) (rpc.CheckReply, error) {
	p = checkDefaults(p)
	until := s.g.now().Add(p.Deadline)
	for good := 0; ; {
		detail, ok, over := s.probe(ctx, slot, port, p)
		if good++; !ok {
			good = 0
		}
		detail = fmt.Sprintf("%s (%d of %d)", detail, good, p.Successes)
		if good >= p.Successes {
			return rpc.CheckReply{OK: true, Detail: detail}, nil
		}
		if over || !s.g.now().Add(p.Interval).Before(until) {
			return rpc.CheckReply{Detail: detail}, nil
		}
		if err := s.g.sleep(ctx, p.Interval); err != nil {
			return rpc.CheckReply{}, err
		}
		if err := still(); err != nil {
			return rpc.CheckReply{}, err
		}
	}
}

func checkDefaults(p rpc.Check) rpc.Check {
	set := func(d *time.Duration, to time.Duration) {
		if *d <= 0 {
			*d = to
		}
	}
	set(&p.Timeout, 5*time.Second)
	set(&p.Interval, time.Second)
	set(&p.Deadline, 30*time.Second)
	p.Successes = max(p.Successes, 1)
	return p
}

// probe looks once. over means that looking again cannot help. Only an answer
// of the slot's own process counts, and only if it is the same afterwards.
func (s *service) probe(ctx context.Context, slot release.Slot, port int, p rpc.Check) (detail string, ok, over bool) {
	before, owns, err := s.alive(ctx, slot, port)
	switch {
	case err != nil:
		return err.Error(), false, false
	case before.State != scm.Running:
		return fmt.Sprintf("the instance is %s, exit code %d%s", before.State, before.Exit, s.lastWords(slot)), false, true
	case !owns:
		return fmt.Sprintf("127.0.0.1:%d is not served by the instance in slot %s", port, slot), false, false
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	if p.TCP {
		detail, ok = dialOnce(ctx, s.g.opts.Dial, port)
	} else {
		detail, ok = getOnce(ctx, s.g.opts.Dial, port, p.HTTP)
	}
	after, err := s.g.opts.SCM.Status(context.WithoutCancel(ctx), slot.Service(s.name))
	if err != nil || after.PID != before.PID || !after.Started.Equal(before.Started) {
		return "the instance ended or was restarted during the check" + s.lastWords(slot), false, true
	}
	return detail, ok, false
}

func dialOnce(ctx context.Context, dial Dial, port int) (string, bool) {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	c, err := dial(ctx, address)
	if err != nil {
		return "tcp: " + err.Error(), false
	}
	c.Close()
	return "tcp " + address + ": connected", true
}

// getOnce follows no redirects and uses no proxy: the instance itself is asked.
func getOnce(ctx context.Context, dial Dial, port int, path string) (string, bool) {
	path = "/" + strings.TrimPrefix(path, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
	if err != nil {
		return err.Error(), false
	}
	client := http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext:       func(ctx context.Context, _, addr string) (net.Conn, error) { return dial(ctx, addr) },
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	began := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return "GET " + path + ": " + err.Error(), false
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxExcerpt))
	detail := fmt.Sprintf("GET %s: %d in %d ms", path, res.StatusCode, time.Since(began).Milliseconds())
	if err != nil {
		return detail + ", its body: " + err.Error(), false
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return strings.TrimSpace(fmt.Sprintf("%s: %.200q", detail, body)), false
	}
	return detail, true
}
