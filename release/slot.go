package release

import (
	"fmt"
	"strconv"
	"strings"
)

// Slot is one of the two fixed places a service has on a host.
type Slot string

// The two slots. Empty means none.
const (
	Blue  Slot = "blue"
	Green Slot = "green"
)

// Slots lists both, in the order of their names.
func Slots() []Slot { return []Slot{Blue, Green} }

// Other returns the opposite slot; the other of none is Blue.
func (s Slot) Other() Slot {
	if s == Blue {
		return Green
	}
	return Blue
}

// Service is the Windows service of a slot: NAME-blue or NAME-green.
func (s Slot) Service(name string) string { return name + "-" + string(s) }

// Role says what a slot is for at the moment; slots keep their colour, roles move.
type Role string

// Roles.
const (
	Stable Role = "stable"
	Canary Role = "canary"
)

// Weight is a share of traffic in basis points: 0 … 10000.
type Weight int

// Full is all traffic.
const Full Weight = 10000

// ParseWeight reads a percentage with at most two decimals: "5", "2.5", "0.25".
func ParseWeight(s string) (Weight, error) {
	whole, frac, _ := strings.Cut(strings.TrimSuffix(strings.TrimSpace(s), "%"), ".")
	if len(frac) > 2 {
		return 0, fmt.Errorf("weight %q: at most two decimals", s)
	}
	n, err := strconv.ParseUint((whole + (frac + "00")[:2]), 10, 32)
	if err != nil || whole == "" {
		return 0, fmt.Errorf("weight %q: want a percentage from 0 to 100", s)
	}
	if n > uint64(Full) {
		return 0, fmt.Errorf("weight %q: above 100", s)
	}
	return Weight(n), nil
}

// Percent returns the weight in percent.
func (w Weight) Percent() float64 { return float64(w) / 100 }

func (w Weight) String() string {
	return strconv.FormatFloat(w.Percent(), 'f', -1, 64) + "%"
}
