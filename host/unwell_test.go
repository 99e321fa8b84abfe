package host

import (
	"slices"
	"testing"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/release"
)

// A person who asks for the status hears what the router makes of the slots.
func TestStatusTellsWhatIsUnwell(t *testing.T) {
	t.Parallel()
	view := router.View{Route: router.Route{Stable: release.Blue, Canary: release.Green, Weight: 5000}, Effective: 5000}
	if notes := unwell(view); notes != nil {
		t.Errorf("of a healthy route: %q", notes)
	}
	view.Effective = 500
	if notes := unwell(view); !slices.Equal(notes, []string{"slot green warms up: 5% of its 50% now"}) {
		t.Errorf("of a cold canary: %q", notes)
	}
	view.Effective = 0
	view.Out = map[release.Slot]string{release.Green: "3 checks in a row failed: refused", release.Blue: "the same"}
	want := []string{
		"slot blue is stable and unhealthy: its requests go there all the same: the same",
		"slot green is unhealthy: stable answers its share: 3 checks in a row failed: refused",
	}
	if notes := unwell(view); !slices.Equal(notes, want) {
		t.Errorf("of sick slots: %q", notes)
	}
}
