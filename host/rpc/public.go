package rpc

// How a public address is served, and what the instances speak.
const (
	ModeHTTP  = "http" // HTTP/1.1 and HTTP/2
	ModeTCP   = "tcp"  // connections, whatever they carry
	SpeakHTTP = "http1"
	SpeakH2C  = "h2c" // HTTP/2 without TLS, from the first byte: gRPC
)

// Public says what of a public address belongs to a service, and how it is
// served. Zero: all of it, as HTTP without TLS.
type Public struct {
	Hosts  []string `json:"hosts,omitempty"` // names it answers to, *.example.com too; none: all
	Path   string   `json:"path,omitempty"`  // prefix, by whole segments; empty: all
	Mode   string   `json:"mode,omitempty"`  // http (also if empty) | tcp
	Speak  string   `json:"speak,omitempty"` // of the instances: http1 (also if empty) | h2c
	TLS    *TLS     `json:"tls,omitempty"`   // nil: none
	Sticky Sticky   `json:"sticky,omitzero"`
	Match  Match    `json:"match,omitzero"`
	// TrustedProxies are addresses and networks whose X-Forwarded headers count.
	TrustedProxies []string `json:"trustedProxies,omitempty"`
}

// TLS ends at the router, 1.2 and newer. The first certificate is for clients
// that name no host, or one that none is for.
type TLS struct {
	Certificates []Certificate `json:"certificates"`
}

// Certificate is either two PEM files or one of the machine's store
// (LocalMachine\My), found by its SHA-1 thumbprint or by its subject's name.
type Certificate struct {
	Cert       string `json:"cert,omitempty"` // the chain, the server's own first
	Key        string `json:"key,omitempty"`
	Thumbprint string `json:"thumbprint,omitempty"`
	Subject    string `json:"subject,omitempty"` // of several the valid one that ends last
}

// Sticky keeps a client with the canary, or away from it, for a rollout: by
// the value of a cookie or a header, or by its address. Zero: each request is
// drawn on its own, as are those without the cookie or header.
type Sticky struct {
	Cookie  string `json:"cookie,omitempty"`
	Header  string `json:"header,omitempty"`
	Address bool   `json:"address,omitempty"`
}

// Match lets a client choose: the canary by a header or cookie with one of
// Values (default: always), stable by never. Allow limits who may, by address.
type Match struct {
	Header string   `json:"header,omitempty"`
	Cookie string   `json:"cookie,omitempty"`
	Values []string `json:"values,omitempty"`
	Allow  []string `json:"allow,omitempty"` // addresses and networks; none: everybody
}
