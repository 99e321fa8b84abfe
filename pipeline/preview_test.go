package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/journal"
	"github.com/go-shipper/shipper/lab/ports"
	"github.com/go-shipper/shipper/problem"
	"github.com/go-shipper/shipper/rollout"
)

// TestPreviewPort: before its promotion the new release alone answers at the
// second port, while the run waits and while it is parked; otherwise nothing
// does there. The public address never gives it to anybody.
func TestPreviewPort(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	at := fmt.Sprintf("127.0.0.1:%d", ports.Free(t))
	b.target.Rollout.Strategy, b.target.Traffic.PreviewPort = rollout.BlueGreen, at
	b.steps(config.Step{Pause: forever()})
	res, err := b.deploy(t.Context(), "1.0.0", nil)
	b.want(res, err, rollout.Promoted, 0)
	seen := func(when, want string) {
		t.Helper()
		if got := b.slotAt(at) + " and " + b.slotAt(b.target.Traffic.Listen); got != want {
			t.Errorf("%s preview and public address give %s, want %s", when, got, want)
		}
	}
	seen("after the first deploy", "503 and blue")

	b.forget()
	ctx, quit := context.WithCancelCause(t.Context())
	run := b.begin(func() (Result, error) { return b.deploy(ctx, "1.1.0", nil) })
	run.until(journal.TypePaused)
	seen("while it waits", "green and blue")
	if !strings.Contains(b.story(), "the new release alone answers at "+at) {
		t.Errorf("nobody says where:\n%s", b.story())
	}
	quit(errors.New("home time"))
	e := run.end()
	b.want(e.res, e.err, rollout.Paused, problem.Paused)
	seen("parked", "green and blue")

	res, err = b.pipeline().Resume(t.Context(), "promote")
	b.want(res, err, rollout.Promoted, 0)
	seen("after the promotion", "503 and green")
}

// slotAt is which slot answers at an address, or the status of its refusal.
func (b *bed) slotAt(address string) string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://"+address+"/orders", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprint(resp.StatusCode)
	}
	return resp.Header.Get("X-Slot")
}
