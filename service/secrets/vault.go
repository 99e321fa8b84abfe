package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// VaultOptions say which Vault, and who asks. Token or AppRole is needed.
type VaultOptions struct {
	Address   string // https, or http to this machine; needed
	Namespace string // of Vault Enterprise or OpenBao; empty: none
	Token     Value
	AppRole   AppRole
	// Client is used for all requests; nil is one with a timeout of 15 s.
	Client *http.Client
}

// AppRole logs a service in. The token that it gets is renewed by logging in
// again when Vault does not take it any more.
type AppRole struct {
	Mount    string // empty: approle
	RoleID   string
	SecretID Value
}

// Vault asks HashiCorp Vault or OpenBao. Safe for concurrent use.
type Vault struct {
	o    VaultOptions
	base *url.URL

	mu    sync.Mutex
	token Value
}

// VaultError is an answer that is none.
type VaultError struct {
	Status int      // of HTTP
	Errors []string // Vault's own words
}

func (e *VaultError) Error() string {
	return fmt.Sprintf("vault answers %d: %s", e.Status, strings.Join(e.Errors, "; "))
}

const (
	vaultTimeout = 15 * time.Second
	maxAnswer    = 4 << 20
)

// NewVault asks nothing yet.
func NewVault(o VaultOptions) (*Vault, error) {
	u, err := url.Parse(o.Address)
	if err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !local):
		return nil, fmt.Errorf("vault: %s is not https", o.Address)
	case o.Token.text == "" && (o.AppRole.RoleID == "" || o.AppRole.SecretID.text == ""):
		return nil, errors.New("vault: a token or an AppRole is needed")
	}
	if o.AppRole.Mount == "" {
		o.AppRole.Mount = "approle"
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: vaultTimeout}
	}
	return &Vault{o: o, base: u, token: o.Token}, nil
}

// Read gets the newest version of a KV version 2 secret: "secret/orders" of the
// mount "secret". Values that are no text are as in JSON. ErrMissing says that
// there is none, or that it was deleted.
func (v *Vault) Read(ctx context.Context, path string) (map[string]Value, error) {
	mount, rest, ok := strings.Cut(strings.Trim(path, "/"), "/")
	if !ok {
		return nil, fmt.Errorf("read %s: it is not of the form MOUNT/PATH", path)
	}
	var answer struct{ Data map[string]any }
	if err := v.ask(ctx, http.MethodGet, mount+"/data/"+rest, nil, &response{Data: &answer}); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	all := map[string]Value{}
	for name, value := range answer.Data {
		all[name] = Value{text(value)}
	}
	return all, nil
}

func text(value any) string {
	if s, ok := value.(string); ok {
		return s
	}
	b, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(b)
}

// response is what all answers have in common.
type response struct {
	LeaseID       string `json:"lease_id"`
	LeaseDuration int64  `json:"lease_duration"` // seconds
	Renewable     bool   `json:"renewable"`
	Data          any    `json:"data"`
	Auth          *struct {
		ClientToken string `json:"client_token"`
	} `json:"auth"`
}

// ask logs in first if there is no token, and again, once, if the one that
// logging in gave is refused.
func (v *Vault) ask(ctx context.Context, method, path string, body, answer any) error {
	token, err := v.login(ctx, Value{})
	if err != nil {
		return err
	}
	err = v.call(ctx, method, path, token, body, answer)
	var refused *VaultError
	if errors.As(err, &refused) && refused.Status == http.StatusForbidden && v.o.AppRole.RoleID != "" {
		if token, err = v.login(ctx, token); err != nil {
			return err
		}
		err = v.call(ctx, method, path, token, body, answer)
	}
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return err
}

// login returns a token other than the refused one.
func (v *Vault) login(ctx context.Context, refused Value) (Value, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.token.text != "" && v.token != refused {
		return v.token, nil
	}
	var answer response
	body := map[string]string{"role_id": v.o.AppRole.RoleID, "secret_id": v.o.AppRole.SecretID.text}
	if err := v.call(ctx, http.MethodPost, "auth/"+v.o.AppRole.Mount+"/login", Value{}, body, &answer); err != nil {
		return Value{}, fmt.Errorf("log in: %w", err)
	}
	if answer.Auth == nil || answer.Auth.ClientToken == "" {
		return Value{}, errors.New("log in: vault gives no token")
	}
	v.token = Value{answer.Auth.ClientToken}
	return v.token, nil
}

func (v *Vault) call(ctx context.Context, method, path string, token Value, body, answer any) error {
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, v.base.JoinPath("v1", path).String(), bytes.NewReader(b))
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Request", "true")
	if token.text != "" {
		req.Header.Set("X-Vault-Token", token.text)
	}
	if v.o.Namespace != "" {
		req.Header.Set("X-Vault-Namespace", v.o.Namespace)
	}
	resp, err := v.o.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return decodeAnswer(resp, answer)
}

func decodeAnswer(resp *http.Response, answer any) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		failed := &VaultError{Status: resp.StatusCode}
		var said struct{ Errors []string }
		if json.Unmarshal(b, &said) == nil {
			failed.Errors = said.Errors
		}
		return failed
	}
	if answer == nil || len(b) == 0 {
		return nil
	}
	if json.Unmarshal(b, answer) != nil { // its error would show what was said
		return errors.New("vault's answer is no JSON of the expected form")
	}
	return nil
}
