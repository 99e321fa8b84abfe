package host

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-shipper/shipper/host/acl"
	"github.com/go-shipper/shipper/host/rpc"
)

// control is what control.json tells those who may read it.
type control struct {
	Protocol int    `json:"protocol"`
	Address  string `json:"address"`
	Token    string `json:"token"`
	PID      int    `json:"pid"`
	Callers  bool   `json:"callers"` // a caller may say who it is
}

const (
	controlName      = "control.json"
	handshakeTimeout = 10 * time.Second
	nonceSize        = 32
	maxConnections   = 64
)

func controlPath(l Layout) string { return filepath.Join(l.Guard(), controlName) }

// serve accepts connections of whoever knows the token.
func (g *Guard) serve(ctx context.Context) error {
	l, err := g.opts.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the bridge: %w", err)
	}
	unhook := context.AfterFunc(ctx, func() { l.Close() })
	defer unhook()
	c := control{Protocol: rpc.Protocol, Address: l.Addr().String(), Token: rand.Text() + rand.Text(), PID: os.Getpid(), Callers: true}
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := acl.WriteProtected(controlPath(g.opts.Layout), b, ""); err != nil {
		return err
	}
	defer os.Remove(controlPath(g.opts.Layout))
	handlers := g.handlers()
	slots := make(chan struct{}, maxConnections)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		select {
		case slots <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		g.busy.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			caller, err := admit(conn, c.Token)
			if err != nil {
				g.log().Warn("connection refused", "error", err)
				return
			}
			if err := rpc.Serve(context.WithValue(ctx, callerKey{}, caller), conn, handlers); err != nil && ctx.Err() == nil {
				g.log().Info("connection ended", "error", err)
			}
		})
	}
}

// Both ends prove that they know the token and neither says it: a program
// that took the port of a guard that died learns nothing and hears nothing.

func proof(token, role string, nonces []byte) []byte {
	m := hmac.New(sha256.New, []byte(token))
	m.Write([]byte(role))
	m.Write(nonces)
	return m.Sum(nil)
}

// Roles of those who prove that they know the token. One with a name says,
// after the guard's proof, who it is.
const (
	roleCaller = "caller"
	roleNamed  = "named caller"
	roleGuard  = "guard"
)

// admit is the guard's end: nonces cross, then the caller proves first.
func admit(conn net.Conn, token string) (caller Caller, err error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return caller, err
	}
	both, err := exchange(conn, false)
	if err != nil {
		return caller, err
	}
	role, err := expect(conn, token, both, roleCaller, roleNamed)
	if err != nil {
		return caller, err
	}
	if _, err := conn.Write(proof(token, roleGuard, both)); err != nil {
		return caller, err
	}
	if role == roleNamed {
		if caller, err = readCaller(conn); err != nil {
			return caller, err
		}
	}
	return caller, conn.SetDeadline(time.Time{})
}

// exchange sends a nonce and reads the other's; the caller's comes first in the result.
func exchange(conn net.Conn, caller bool) ([]byte, error) {
	mine, theirs := make([]byte, nonceSize), make([]byte, nonceSize)
	if _, err := rand.Read(mine); err != nil {
		return nil, err
	}
	if _, err := conn.Write(mine); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, theirs); err != nil {
		return nil, err
	}
	if caller {
		return append(mine, theirs...), nil
	}
	return append(theirs, mine...), nil
}

// expect reads a proof and tells which role it is of.
func expect(conn net.Conn, token string, nonces []byte, roles ...string) (string, error) {
	got := make([]byte, sha256.Size)
	if _, err := io.ReadFull(conn, got); err != nil {
		return "", err
	}
	for _, role := range roles {
		if hmac.Equal(got, proof(token, role, nonces)) {
			return role, nil
		}
	}
	return "", errors.New("the other end does not know the token")
}

// DialGuard connects to the guard of this host. The caller must be allowed to
// read the guard's folder. rpc.Dial takes the connection from there.
func DialGuard(ctx context.Context, layout Layout) (net.Conn, error) {
	return dialGuard(ctx, layout, dialTCP, nil)
}

// DialGuardAs is DialGuard for a program that says who it is.
func DialGuardAs(ctx context.Context, layout Layout, me Caller) (net.Conn, error) {
	return dialGuard(ctx, layout, dialTCP, &me)
}

// DialGuardOver is DialGuard on a network of its own.
func DialGuardOver(ctx context.Context, layout Layout, dial Dial) (net.Conn, error) {
	return dialGuard(ctx, layout, dial, nil)
}

func dialGuard(ctx context.Context, layout Layout, dial Dial, me *Caller) (net.Conn, error) {
	b, err := readBounded(controlPath(layout), 64<<10)
	if err != nil {
		return nil, fmt.Errorf("find the guard: %w", err)
	}
	var c control
	if err := json.Unmarshal(b, &c); err != nil || !strings.HasPrefix(c.Address, "127.") {
		return nil, fmt.Errorf("find the guard: %s makes no sense", controlPath(layout))
	}
	conn, err := dial(ctx, c.Address)
	if err != nil {
		return nil, fmt.Errorf("connect to the guard: %w", err)
	}
	if !c.Callers { // an older guard
		me = nil
	}
	if err := greet(ctx, conn, c.Token, me); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to the guard: %w", err)
	}
	return conn, nil
}

func greet(ctx context.Context, conn net.Conn, token string, me *Caller) error {
	deadline := time.Now().Add(handshakeTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	both, err := exchange(conn, true)
	if err != nil {
		return err
	}
	role := roleCaller
	if me != nil {
		role = roleNamed
	}
	if _, err := conn.Write(proof(token, role, both)); err != nil {
		return err
	}
	if _, err := expect(conn, token, both, roleGuard); err != nil {
		return err
	}
	if me != nil {
		if err := me.write(conn); err != nil {
			return err
		}
	}
	return conn.SetDeadline(time.Time{})
}
