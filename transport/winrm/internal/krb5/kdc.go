package krb5

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/messages"
)

const (
	kdcTimeout = 5 * time.Second // of one KDC
	maxKDC     = 6               // asked, one after the other
	maxAnswer  = 1 << 20         // of a KDC, in bytes
)

// ErrNoKDC says that nobody who gives tickets could be asked.
var ErrNoKDC = errors.New("no KDC answers")

// ask sends a request to the KDCs of a realm until one answers. Only TCP:
// tickets of a domain seldom fit a datagram.
func ask(ctx context.Context, cfg *config.Config, realm string, request []byte) ([]byte, error) {
	addresses, err := kdcs(ctx, cfg, realm)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, address := range addresses[:min(len(addresses), maxKDC)] {
		answer, err := askOne(ctx, address, request)
		if err == nil {
			return answer, kdcError(realm, answer)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		failed = append(failed, err)
	}
	return nil, fmt.Errorf("%w for realm %s: %w", ErrNoKDC, realm, errors.Join(failed...))
}

// kdcs are those that krb5.conf names, or else those that DNS knows.
func kdcs(ctx context.Context, cfg *config.Config, realm string) ([]string, error) {
	for _, r := range cfg.Realms {
		if r.Realm == realm && len(r.KDC) > 0 {
			found := slices.Clone(r.KDC)
			rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
			return found, nil
		}
	}
	_, records, err := net.DefaultResolver.LookupSRV(ctx, "kerberos", "tcp", realm)
	if err != nil {
		return nil, fmt.Errorf("%w for realm %s: %w", ErrNoKDC, realm, err)
	}
	var found []string
	for _, r := range records {
		found = append(found, net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))))
	}
	return found, nil
}

func askOne(ctx context.Context, address string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, kdcTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	message := append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)
	if _, err := conn.Write(message); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxAnswer {
		return nil, fmt.Errorf("%s: an answer of %d bytes", address, n)
	}
	answer := make([]byte, n)
	_, err = io.ReadFull(conn, answer)
	return answer, err
}

// kdcError finds what a KDC says instead of giving a ticket.
func kdcError(realm string, answer []byte) error {
	var e messages.KRBError
	if guarded(func() error { return e.Unmarshal(answer) }) != nil {
		return nil
	}
	return &Error{Code: e.ErrorCode, Text: printable(e.EText), From: "KDC of " + printable(realm), data: e.EData}
}
