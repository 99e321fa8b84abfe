package secrets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Credentials are dynamic ones, as of a database role.
type Credentials struct {
	Username string
	Password Value     // changes only together with Username
	Expires  time.Time // unless they are renewed
}

// Lease keeps dynamic credentials valid: they are renewed after two thirds of
// their time, and when they cannot be renewed any more there are new ones.
// Safe for concurrent use.
type Lease struct {
	vault *Vault
	path  string
	log   *slog.Logger

	mu       sync.Mutex
	now      Credentials
	id       string
	lasts    time.Duration // that was asked for at first
	renewal  bool          // renewable
	onChange []func(Credentials)
	err      error
	stop     context.CancelFunc
	done     chan struct{}
}

const (
	leaseRetryMin = time.Second
	leaseRetryMax = time.Minute
	// leaseShort is the share of its first time below which a renewed lease has
	// come near to its end and is replaced: connections need time to move.
	leaseShort = 0.5
)

// Lease gets credentials from path, as "database/creds/orders". log is told
// of renewals that fail; nil is slog.Default().
func (v *Vault) Lease(ctx context.Context, path string, log *slog.Logger) (*Lease, error) {
	if log == nil {
		log = slog.Default()
	}
	l := &Lease{vault: v, path: strings.Trim(path, "/"), log: log}
	return l, l.issue(ctx)
}

// Credentials are those in force.
func (l *Lease) Credentials() Credentials {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

// OnChange calls f with the credentials, now and whenever there are new ones: a
// pool opens new connections with them, and lets the old ones finish. f
// returns soon.
func (l *Lease) OnChange(f func(Credentials)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onChange = append(l.onChange, f)
	f(l.now)
}

// Check is the reason why the credentials could be neither renewed nor
// replaced, and nil while all is well; it serves as a health check.
func (l *Lease) Check(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// issue gets new credentials.
func (l *Lease) issue(ctx context.Context) error {
	var data struct{ Username, Password string }
	answer := response{Data: &data}
	if err := l.vault.ask(ctx, http.MethodGet, l.path, nil, &answer); err != nil {
		return fmt.Errorf("lease of %s: %w", l.path, err)
	}
	if data.Password == "" || answer.LeaseDuration <= 0 {
		return fmt.Errorf("lease of %s: no credentials with a time", l.path)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	lasts := time.Duration(answer.LeaseDuration) * time.Second
	l.id, l.lasts, l.renewal, l.err = answer.LeaseID, lasts, answer.Renewable, nil
	l.now = Credentials{data.Username, Value{data.Password}, time.Now().Add(lasts)}
	for _, f := range l.onChange {
		f(l.now)
	}
	return nil
}

// Start keeps the lease until Stop; with it a Lease is a part of a service
// (service.WithPart).
func (l *Lease) Start(ctx context.Context) error {
	ctx, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	l.done = make(chan struct{})
	go func() {
		defer close(l.done)
		l.keep(ctx)
	}()
	return nil
}

// Stop ends the lease: Vault revokes the credentials. An error means that they
// live on until their time is over.
func (l *Lease) Stop(ctx context.Context) error {
	l.stop()
	<-l.done
	l.mu.Lock()
	id := l.id
	l.mu.Unlock()
	if err := l.vault.ask(ctx, http.MethodPut, "sys/leases/revoke", map[string]string{"lease_id": id}, nil); err != nil {
		return fmt.Errorf("revoke lease of %s: %w", l.path, err)
	}
	return nil
}

func (l *Lease) keep(ctx context.Context) {
	retry := leaseRetryMin
	wait := l.untilRenewal()
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		err := l.refresh(ctx)
		if err == nil {
			retry, wait = leaseRetryMin, l.untilRenewal()
			continue
		}
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
		l.log.WarnContext(ctx, "lease could not be renewed", "path", l.path, "error", err, "expires", l.Credentials().Expires)
		wait = retry - rand.N(retry/5)
		retry = min(2*retry, leaseRetryMax)
	}
}

func (l *Lease) untilRenewal() time.Duration {
	left := time.Until(l.Credentials().Expires)
	return max(left*2/3, leaseRetryMin)
}

// refresh renews the credentials, or replaces them if Vault does not renew them
// any more, or not for long.
func (l *Lease) refresh(ctx context.Context) error {
	l.mu.Lock()
	id, lasts, renewable := l.id, l.lasts, l.renewal && time.Now().Before(l.now.Expires)
	l.mu.Unlock()
	if !renewable {
		return l.issue(ctx)
	}
	var answer response
	body := map[string]any{"lease_id": id, "increment": int64(lasts.Seconds())}
	err := l.vault.ask(ctx, http.MethodPut, "sys/leases/renew", body, &answer)
	var refused *VaultError
	if errors.As(err, &refused) && refused.Status/100 == 4 {
		return l.issue(ctx)
	}
	if err != nil {
		return fmt.Errorf("renew lease of %s: %w", l.path, err)
	}
	got := time.Duration(answer.LeaseDuration) * time.Second
	if float64(got) < leaseShort*float64(lasts) {
		return l.issue(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now.Expires, l.renewal, l.err = time.Now().Add(got), answer.Renewable, nil
	return nil
}
