package rollout

import (
	"errors"
	"testing"

	"github.com/go-shipper/shipper/release"
)

// Every host owed the way back and has taken it: the fleet is where it was.
func TestHostsThatAllWentBackByTheirLeases(t *testing.T) {
	t.Parallel()
	one := release.Release{Version: "1.0.0", Digest: "sha256:1"}
	back := RunView{ID: "r2", Verb: "deploy", State: RolledBack, Behind: []string{"web1"}}
	f := Fleet([]HostView{{Host: "web1", Stable: one, Run: back}})
	if f.Stable != one || len(f.Behind) > 0 {
		t.Errorf("stable %q, behind %v: %v", f.Stable.Version, f.Behind, f.Reason)
	}
	f = Fleet([]HostView{{Host: "web1", Stable: one, Run: back}, {Host: "web2", Err: errors.New("no answer")}})
	if !f.Stable.IsZero() {
		t.Errorf("%s by the word of a host that was left behind, while another is silent", f.Stable.Version)
	}
}
