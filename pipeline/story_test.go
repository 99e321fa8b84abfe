package pipeline

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-shipper/shipper/journal"
)

// Each message to a host costs more than a record: a record that comes alone
// goes at once, a flock goes together, and nothing is left behind.
func TestRecordsGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory("run", time.Now, nil)
		began, over, done := time.Now(), make(chan struct{}), make(chan struct{})
		var went []string
		go func() {
			defer close(done)
			s.deliver(over, 0, func(sent int) int {
				records := s.after(sent)
				if len(records) > 0 {
					went = append(went, fmt.Sprintf("%d at %s", len(records), time.Since(began)))
				}
				return sent + len(records)
			})
		}()
		tell := func(after time.Duration, n int) {
			time.Sleep(after)
			for range n {
				s.note(journal.TypeWarning, "", "something")
			}
		}
		tell(time.Second, 1)
		tell(10*time.Millisecond, 1)
		tell(10*time.Millisecond, 20)
		tell(time.Second, 1)
		tell(time.Millisecond, 2)
		time.Sleep(time.Millisecond)
		close(over)
		<-done
		if want := []string{"1 at 1s", "21 at 1.3s", "1 at 2.02s", "2 at 2.022s"}; !slices.Equal(went, want) {
			t.Errorf("%q, want %q", went, want)
		}
	})
}
