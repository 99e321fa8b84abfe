package tree

import (
	"slices"
	"testing"
)

func TestTable(t *testing.T) {
	table := Table{
		1:  {Parent: 0, Birth: 1},
		10: {Parent: 1, Birth: 5},
		11: {Parent: 10, Birth: 6},
		12: {Parent: 11, Birth: 7},
		20: {Parent: 10, Birth: 3}, // older than 10: its parent's number was given away
		21: {Parent: 20, Birth: 8},
		30: {Parent: 99, Birth: 9}, // its parent is gone
		40: {Parent: 41, Birth: 2}, // a circle
		41: {Parent: 40, Birth: 2},
	}
	for _, tt := range []struct {
		pid, root int
		want      bool
	}{{10, 10, true}, {12, 10, true}, {11, 1, true}, {20, 10, false}, {21, 10, false}, {21, 20, true},
		{30, 99, false}, {40, 1, false}, {77, 1, false}} {
		if got := table.Below(tt.pid, tt.root); got != tt.want {
			t.Errorf("Below(%d, %d) = %v", tt.pid, tt.root, got)
		}
	}
	got := table.Descendants(10)
	slices.Sort(got)
	if !slices.Equal(got, []int{11, 12}) {
		t.Errorf("descendants of 10: %v", got)
	}
}
