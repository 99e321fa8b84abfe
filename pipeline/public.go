package pipeline

import (
	"github.com/go-shipper/shipper/config"
	"github.com/go-shipper/shipper/host/rpc"
)

// public is the part of traffic that the router alone reads. What is usual is
// left out, as hosts keep it, so that the two can be compared.
func public(t config.Traffic) rpc.Public {
	p := rpc.Public{
		Hosts: list(t.Hosts), Path: t.Path, TrustedProxies: list(t.TrustedProxies), Sticky: rpc.Sticky(t.Sticky),
		Match: rpc.Match{Header: t.Match.Header, Cookie: t.Match.Cookie, Values: list(t.Match.Values), Allow: list(t.Match.Allow)},
	}
	if t.Mode == rpc.ModeTCP {
		p.Mode = t.Mode
	}
	if t.Speak == rpc.SpeakH2C {
		p.Speak = t.Speak
	}
	if len(t.TLS.Certificates) > 0 {
		p.TLS = &rpc.TLS{}
		for _, c := range t.TLS.Certificates {
			p.TLS.Certificates = append(p.TLS.Certificates, rpc.Certificate(c))
		}
	}
	return p
}

// list is nil if it is empty.
func list(texts []string) []string { return append([]string(nil), texts...) }
