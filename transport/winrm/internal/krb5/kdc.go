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
	kdcTimeout = 5 * time.Second // of one KDC, at most
	maxKDC     = 6               // asked, one after the other
	maxAnswer  = 1 << 20         // of a KDC, in bytes
)

// ErrNoKDC says that nobody who gives tickets could be asked.
var ErrNoKDC = errors.New("no KDC answers")

// ErrUnheard says that a KDC got what proves the password, and did not say what
// it thinks of it: it may have counted an attempt.
var ErrUnheard = errors.New("it fell silent when it had the proof of the password")

// ask sends a request to the KDCs of a realm until one answers, first to the
// one that did so last. A proof of the password goes to one only. Only TCP:
// tickets of a domain seldom fit a datagram.
func (l *Login) ask(ctx context.Context, realm string, request []byte, proof bool) ([]byte, error) {
	addresses, err := l.kdcs(ctx, realm)
	if err != nil {
		return nil, err
	}
	addresses = addresses[:min(len(addresses), maxKDC)]
	var failed []error
	for i, address := range addresses {
		answer, sent, err := l.askOne(ctx, address, request, share(ctx, len(addresses)-i))
		if err == nil {
			l.remember(realm, address)
			return answer, kdcError(realm, answer)
		}
		if proof && sent {
			err = fmt.Errorf("%w: %w", ErrUnheard, err)
		}
		failed = append(failed, err)
		if ctx.Err() != nil || proof && sent {
			break
		}
	}
	return nil, fmt.Errorf("%w for realm %s: %w", ErrNoKDC, realm, errors.Join(failed...))
}

// share is the time of one KDC, so that each of those left has some.
func share(ctx context.Context, left int) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return kdcTimeout
	}
	return min(kdcTimeout, time.Until(end)/time.Duration(left))
}

func (l *Login) remember(realm, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered[realm] = address
}

// kdcs lists whom to ask.
func (l *Login) kdcs(ctx context.Context, realm string) ([]string, error) {
	found, err := kdcs(ctx, l.cfg, realm)
	l.mu.Lock()
	last := l.answered[realm]
	l.mu.Unlock()
	if i := slices.Index(found, last); i > 0 {
		found[0], found[i] = found[i], found[0]
	}
	return found, err
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

// askOne asks one KDC. sent tells that it may have got the request.
func (l *Login) askOne(ctx context.Context, address string, request []byte, limit time.Duration) (answer []byte, sent bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit.Round(time.Millisecond)))
	defer cancel()
	conn, err := l.dial(ctx, "tcp", address)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", address, causeOf(ctx, err))
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	answer, err = exchange(conn, request)
	if err != nil {
		err = fmt.Errorf("%s: %w", address, causeOf(ctx, err))
	}
	return answer, true, err
}

// causeOf prefers why a context ended to what that broke.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func exchange(conn net.Conn, request []byte) ([]byte, error) {
	message := append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)
	if _, err := conn.Write(message); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxAnswer {
		return nil, fmt.Errorf("an answer of %d bytes", n)
	}
	answer := make([]byte, n)
	_, err := io.ReadFull(conn, answer)
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
