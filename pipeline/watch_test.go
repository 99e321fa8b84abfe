package pipeline

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
)

// What a file says about health, slow start, keys, log and metrics gets to
// the host whole, and a host keeps it so that it compares as equal.
func TestWatchArrivesWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want rpc.Watch
	}{
		{`{listen: ":80"}`, rpc.Watch{}},
		{`{listen: ":80", accessLog: {enabled: false, keep: 3}, clientKey: {}}`, rpc.Watch{}},
		{`{listen: ":80", health: {tcp: true}, outlier: {failures: 5}, accessLog: {enabled: true}}`, rpc.Watch{
			Health:    rpc.Health{TCP: true, Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 3},
			Outlier:   rpc.Outlier{Failures: 5, Window: 10 * time.Second, Eject: 10 * time.Second, MaxEject: 5 * time.Minute},
			AccessLog: rpc.AccessLog{On: true, MaxBytes: 50 << 20, MaxAge: 24 * time.Hour, Keep: 7},
		}},
		{`{listen: ":80", slowStart: 30s, metrics: "127.0.0.1:9464", clientKey: {cookie: sid, header: X-User},
  health: {http: /healthz, interval: 1s, timeout: 500ms, rise: 1, fall: 2}}`, rpc.Watch{
			Health:    rpc.Health{HTTP: "/healthz", Interval: time.Second, Timeout: 500 * time.Millisecond, Rise: 1, Fall: 2},
			SlowStart: 30 * time.Second, Metrics: "127.0.0.1:9464", ClientKey: rpc.ClientKey{Cookie: "sid", Header: "X-User"},
		}},
	} {
		f, err := config.Parse("shipper.yaml", []byte(`service: {name: orders}
environments: {prod: {hosts: [web1], transport: {user: u, password: "${env:P}"}}}
traffic: `+c.text))
		if err != nil {
			t.Fatal(err)
		}
		target, err := f.Target("")
		if err != nil {
			t.Fatal(err)
		}
		got := watch(target.Traffic)
		if got != c.want {
			t.Errorf("%s\nbecomes %+v\nwant    %+v", c.text, got, c.want)
		}
		data, err := json.Marshal(rpc.TrafficConfig{Watch: got})
		if err != nil {
			t.Fatal(err)
		}
		var kept rpc.TrafficConfig
		if err := json.Unmarshal(data, &kept); err != nil || kept.Watch != got {
			t.Errorf("a host keeps %+v of it, %v", kept.Watch, err)
		}
	}
}
