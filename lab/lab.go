// Package lab runs Windows hosts on one Linux machine: a Wine prefix each, in
// a network namespace of its own, behind a WinRM endpoint that really speaks
// the protocol (lab/wsman). docs/LAB.md says what is faithful and what is not.
//
// As root every host has an address of its own in a subnet 10.x.y.0/24 that
// was free; otherwise hosts are addresses in 127.0.0.0/8 and share the
// machine's ports.
package lab

import (
	"context"
	"io"
	"time"
)

// Options of a new lab. The zero value is a lab of one host called "default".
type Options struct {
	Name  string // a-z, 0-9 and '-', at most 20 characters; "" is "default"
	Hosts int    // 1 to 100; 0 is 1
	// Dir is the folder that holds the state of all labs; "" is Dir().
	Dir string
	// Daemon is the command that becomes a host's daemon when "lab daemon DIR"
	// is appended; empty is this executable. Test binaries call Serve first
	// thing in TestMain.
	Daemon []string
	// Loopback gives the hosts addresses in 127.0.0.0/8 even as root.
	Loopback bool
	// Temporary ends the lab when this process ends, however it does; Down
	// still comes first. Tests want it.
	Temporary bool
	// Log takes a line of progress now and then; nil keeps silent.
	Log func(string)
}

// Host is one host of a lab and how to reach it.
type Host struct {
	Name      string // host1, host2, …; also its computer name
	Address   string
	HTTPPort  int // 5985: NTLM with sealed messages
	HTTPSPort int // 5986: Basic or NTLM
	User      string
	Password  string
	CAFile    string // PEM of the authority that signed the host's certificate
}

// Summary is a lab as List shows it.
type Summary struct {
	Name    string
	Hosts   []Host
	Running bool // all of its hosts are up or rebooting
	Created time.Time
}

// Faults are what can go wrong on purpose with a host's WinRM endpoint. They
// hold until the next SetFaults or reboot. The zero value is a healthy host.
type Faults struct {
	Latency       time.Duration // before each reply
	CutAfterBytes int64         // reset one connection after so many more bytes from clients
	Unavailable   time.Duration // answer 503 for so long
	RefuseAuth    int           // refuse so many right logons
	HoldSends     int           // deliver so many Sends, but answer that they timed out
	BusySends     int           // do not deliver so many Sends, and answer "busy"
	LoseShells    int           // lose all shells at so many Sends
	Expel         int           // answer 401 to so many requests of known connections
	Silence       time.Duration // say nothing for so long
	After         int           // let so many Sends go well before all this
}

// api is what a lab does; it keeps the systems' halves alike.
type api interface {
	Name() string
	Hosts() []Host
	Prefix(host string) string
	Down(ctx context.Context) error
	Reboot(ctx context.Context, host string, downFor time.Duration) error
	Exec(ctx context.Context, host, line string, stdin io.Reader, stdout, stderr io.Writer) (int, error)
	SetFaults(ctx context.Context, host string, f Faults) error
}

var _ api = (*Lab)(nil)
