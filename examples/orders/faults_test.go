package main

import (
	"math"
	"testing"
	"time"
)

func TestParseFaults(t *testing.T) {
	env := map[string]string{"ORDERS_FAIL_AFTER": "7", "ORDERS_LATENCY": "5ms"}
	f, err := parseFaults("ORDERS_FAIL_RATIO=0.5, ORDERS_FAIL_AFTER=100,ORDERS_HANG_ON_STOP=true", func(n string) string { return env[n] })
	want := faultSettings{failRatio: 0.5, failAfter: 7, latency: 5 * time.Millisecond, hangOnStop: true}
	if err != nil || f != want {
		t.Errorf("%+v: %v", f, err)
	}
	if f, err := parseFaults("", func(string) string { return "" }); err != nil || f != (faultSettings{}) {
		t.Errorf("%+v: %v", f, err)
	}
}

func TestFailsAsToldAndWhenTold(t *testing.T) {
	const n = 1000
	begin := time.Unix(0, 0)
	tests := map[string]struct {
		faults faultSettings
		want   int // failures of n requests, one each millisecond
	}{
		"good":             {faultSettings{}, 0},
		"all":              {faultSettings{failRatio: 1}, n},
		"a third":          {faultSettings{failRatio: 1.0 / 3}, 333},
		"after 900":        {faultSettings{failRatio: 0.5, failAfter: 900}, 50},
		"after 0.6 s":      {faultSettings{failRatio: 1, failDelay: 600 * time.Millisecond}, 400},
		"both must be met": {faultSettings{failRatio: 1, failAfter: 700, failDelay: 600 * time.Millisecond}, 300},
	}
	for name, tt := range tests {
		m := misbehaviour{faults: tt.faults}
		failed := 0
		for i := range n {
			if fail, _ := m.decide(begin.Add(time.Duration(i) * time.Millisecond)); fail {
				failed++
			}
		}
		if math.Abs(float64(failed-tt.want)) > 1 {
			t.Errorf("%s: %d failures, want %d", name, failed, tt.want)
		}
	}
}
