package host

import (
	"fmt"

	"github.com/go-shipper/shipper/host/router"
	"github.com/go-shipper/shipper/release"
)

// unwell says which slots the router holds for unhealthy, and what it makes
// of that.
func unwell(v router.View) (notes []string) {
	for _, slot := range release.Slots() {
		switch why := v.Out[slot]; {
		case why == "":
		case slot == v.Stable:
			notes = append(notes, fmt.Sprintf("slot %s is stable and unhealthy: its requests go there all the same: %s", slot, why))
		default:
			notes = append(notes, fmt.Sprintf("slot %s is unhealthy: stable answers its share: %s", slot, why))
		}
	}
	if v.Out[v.Canary] == "" && v.Effective < v.Weight {
		notes = append(notes, fmt.Sprintf("slot %s warms up: %s of its %s now", v.Canary, v.Effective, v.Weight))
	}
	if v.MetricsProblem != "" {
		notes = append(notes, "the metrics are not served: "+v.MetricsProblem)
	}
	if v.PreviewProblem != "" {
		notes = append(notes, "the preview is not served: "+v.PreviewProblem)
	}
	return notes
}
