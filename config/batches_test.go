package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestBatches: sizes take the hosts that are left, in the order of the file.
func TestBatches(t *testing.T) {
	tests := []struct{ batches, want string }{
		{"", "[[h0 h1 h2 h3 h4 h5 h6 h7 h8 h9]]"},
		{"[1, 25%, 25%, 100%]", "[[h0] [h1 h2] [h3 h4] [h5 h6 h7 h8 h9]]"},
		{"[1, 25%]", "[[h0] [h1 h2] [h3 h4] [h5 h6] [h7 h8] [h9]]"},
		{"[1%, 4]", "[[h0] [h1 h2 h3 h4] [h5 h6 h7 h8] [h9]]"},
		{"[{tags: {ring: canary}}, 3, 100%]", "[[h3 h7] [h0 h1 h2] [h4 h5 h6 h8 h9]]"},
		{"[[h9, h8], 50%]", "[[h9 h8] [h0 h1 h2 h3 h4] [h5 h6 h7]]"},
		{"[20]", "[[h0 h1 h2 h3 h4 h5 h6 h7 h8 h9]]"},
		{"[[h0], 100%, 1]", "[[h0] [h1 h2 h3 h4 h5 h6 h7 h8 h9]]"},
	}
	for _, tt := range tests {
		var hosts []string
		for i := range 10 {
			ring := "main"
			if i == 3 || i == 7 {
				ring = "canary"
			}
			hosts = append(hosts, fmt.Sprintf("{name: h%d, address: a%d, tags: {ring: %s}}", i, 9-i, ring))
		}
		text := fmt.Sprintf("service: {name: x}\ntraffic: {listen: ':8080'}\nrollout: {batches: %s}\nenvironments: {e: {hosts: [%s], transport: {user: u, password: '${env:P}'}}}\n",
			tt.batches, strings.Join(hosts, ", "))
		f, err := Parse("shipper.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", tt.batches, err)
			continue
		}
		target, _ := f.Target("")
		if got := fmt.Sprint(target.Batches()); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.batches, got, tt.want)
		}
	}
}

// TestWorkers: what only a router can do is no default without one.
func TestWorkers(t *testing.T) {
	f, err := Parse("shipper.yaml", []byte("service: {name: w, ports: {blue: 18080, green: 18081}}\ntraffic: {router: none}\nenvironments: {e: {hosts: [h], transport: {user: u, password: '${env:P}'}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	target, _ := f.Target("")
	if r := target.Rollout; r.KeepWarm != 0 || r.Steps != nil || len(target.Analysis.Signals) > 0 {
		t.Errorf("keepWarm %v, steps %v, signals %v", r.KeepWarm, r.Steps, target.Analysis.Signals)
	}
}
