// Package secrets gets what a service must not have in its arguments or its
// log: from the environment, from files, from shipper, and from Vault.
package secrets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Value is a secret. Printed, logged or encoded it is "[secret]".
type Value struct{ text string }

const hidden = "[secret]"

// New hides text.
func New(text string) Value { return Value{text} }

// Reveal is the secret itself.
func (v Value) Reveal() string { return v.text }

// String hides it.
func (v Value) String() string { return hidden }

// GoString hides it from %#v.
func (v Value) GoString() string { return hidden }

// Format hides it from every other verb.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue hides it from log/slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides it from JSON and the like.
func (v Value) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// ErrMissing says that there is no such secret, or that it is empty.
var ErrMissing = errors.New("no such secret")

const maxSecret = 1 << 20 // bytes of a file

// Resolver gets secrets by reference.
type Resolver struct {
	// Vault for references that begin with vault:; nil: they are errors.
	Vault *Vault
	// Env reads the environment; nil is os.Getenv.
	Env func(string) string
}

// Get resolves one of
//
//	env:NAME          a variable of the environment
//	file:PATH         a file, without its last line end
//	shipper:NAME      what shipper.yaml lists under secrets: a variable, or of a native service in the file
//	                  SHIPPER_SECRETS, which only this machine can open
//	vault:PATH#KEY    a key of a KV version 2 secret, as vault:secret/orders#password
//
// Errors are ErrMissing, those of reading, and of Vault. None holds a secret.
func (r Resolver) Get(ctx context.Context, reference string) (Value, error) {
	v, err := r.get(ctx, reference)
	if err == nil && v.text == "" {
		err = ErrMissing
	}
	if err != nil {
		return Value{}, fmt.Errorf("secret %s: %w", reference, err)
	}
	return v, nil
}

func (r Resolver) get(ctx context.Context, reference string) (Value, error) {
	kind, name, _ := strings.Cut(reference, ":")
	env := r.Env
	if env == nil {
		env = os.Getenv
	}
	switch kind {
	case "env":
		return Value{env(name)}, nil
	case "file":
		return fromFile(name)
	case "shipper":
		return fromShipper(name, env)
	case "vault":
		return r.fromVault(ctx, name)
	}
	return Value{}, errors.New("it begins with none of env, file, shipper and vault")
}

func fromFile(path string) (Value, error) {
	b, err := readFile(path)
	return Value{strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")}, err
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(b) > maxSecret {
		err = fmt.Errorf("%s has more than %d bytes", path, maxSecret)
	}
	return b, err
}

// fromShipper: a console program has it in its environment, a native service
// in a file that only its account can read.
func fromShipper(name string, env func(string) string) (Value, error) {
	path := env("SHIPPER_SECRETS")
	if path == "" {
		return Value{env(name)}, nil
	}
	sealed, err := readFile(path)
	if err != nil {
		return Value{}, err
	}
	b, err := unseal(sealed)
	if err != nil {
		return Value{}, fmt.Errorf("open %s: %w", path, err)
	}
	var all map[string]string
	if json.Unmarshal(b, &all) != nil { // its error would show what is in there
		return Value{}, fmt.Errorf("%s is not what shipper writes", path)
	}
	return Value{all[name]}, nil
}

func (r Resolver) fromVault(ctx context.Context, reference string) (Value, error) {
	path, key, ok := strings.Cut(reference, "#")
	if r.Vault == nil || !ok {
		return Value{}, errors.New("there is no Vault, or no #KEY")
	}
	all, err := r.Vault.Read(ctx, path)
	return all[key], err
}
