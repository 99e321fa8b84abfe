package pipeline

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
)

// What a file says about the public address gets to the host whole, and what
// a host keeps of it compares as equal.
func TestPublicArrivesWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want rpc.Public
	}{
		{`{listen: ":80", hosts: [], trustedProxies: []}`, rpc.Public{}},
		{`{listen: ":80", mode: tcp, sticky: {address: true}}`, rpc.Public{Mode: "tcp", Sticky: rpc.Sticky{Address: true}}},
		{`{listen: ":80", hosts: [a.example], path: /api, speak: h2c, tls: {certificates: [{cert: c, key: k}, {subject: s}]},
  sticky: {cookie: id}, match: {header: X-Canary, cookie: canary, values: [me], allow: [10.0.0.1]}, trustedProxies: [10.0.0.0/8]}`,
			rpc.Public{
				Hosts: []string{"a.example"}, Path: "/api", Speak: "h2c",
				TLS:    &rpc.TLS{Certificates: []rpc.Certificate{{Cert: "c", Key: "k"}, {Subject: "s"}}},
				Sticky: rpc.Sticky{Cookie: "id"}, TrustedProxies: []string{"10.0.0.0/8"},
				Match: rpc.Match{Header: "X-Canary", Cookie: "canary", Values: []string{"me"}, Allow: []string{"10.0.0.1"}},
			}},
	} {
		f, err := config.Parse("shipper.yaml", []byte(`service: {name: orders, ports: {blue: 18080, green: 18081}}
environments: {prod: {hosts: [web1], transport: {user: u, password: "${env:P}"}}}
traffic: `+c.text))
		if err != nil {
			t.Fatal(err)
		}
		target, err := f.Target("")
		if err != nil {
			t.Fatal(err)
		}
		got := public(target.Traffic)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\nbecomes %+v\nwant    %+v", c.text, got, c.want)
		}
		data, err := json.Marshal(rpc.TrafficConfig{Public: got})
		if err != nil {
			t.Fatal(err)
		}
		var kept rpc.TrafficConfig
		if err := json.Unmarshal(data, &kept); err != nil || !reflect.DeepEqual(kept.Public, got) {
			t.Errorf("a host keeps %+v of it, %v", kept.Public, err)
		}
	}
}
