package winrm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// identify asks, without credentials, whether WinRM answers here at all.
func (l *link) identify(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.DialTimeout, fmt.Errorf("no answer within %s", cfg.DialTimeout))
	defer cancel()
	a, err := l.post(ctx, http.Header{"Content-Type": {plainType}, "Wsmanidentify": {"unauthenticated"}}, []byte(identify))
	if err != nil {
		return err
	}
	if a.status == http.StatusUnauthorized && len(a.header.Values("WWW-Authenticate")) > 0 {
		return nil // a host that tells strangers nothing, but speaks HTTP authentication
	}
	if a.status != http.StatusOK {
		return &httpError{status: a.status}
	}
	b, _, err := parseReply(a.body)
	if err != nil || b.Identify == nil {
		return errNotWinRM
	}
	return nil
}

var errNotWinRM = errors.New("what answers is not WinRM")
