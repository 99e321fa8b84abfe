// Package web asks any web service, and takes one value out of its JSON.
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/rollout/analysis"
	"github.com/go-shipper/shipper/rollout/analysis/fetch"
)

// Source measures one address.
type Source struct {
	client  *fetch.Client
	address string
	path    []string // empty: the status is the value
}

// New measures what lies at path (data.items[0].rate) of the JSON at address;
// without a path it is the HTTP status.
func New(address, path string, o fetch.Options) (*Source, error) {
	steps, err := ParsePath(path)
	if err != nil {
		return nil, err
	}
	client, err := fetch.New(o)
	return &Source{client, address, steps}, err
}

// ParsePath splits a path into names and indexes. A leading $ is left out.
func ParsePath(path string) ([]string, error) {
	text := strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".")
	if text == "" {
		return nil, nil
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "[", "."), "]", "")
	steps := strings.Split(strings.TrimPrefix(text, "."), ".")
	for _, s := range steps {
		if s == "" || strings.ContainsAny(s, "*?()") {
			return nil, fmt.Errorf("path %q: want names and indexes, like data.items[0].rate", path)
		}
	}
	return steps, nil
}

// Measure asks once.
func (s *Source) Measure(ctx context.Context) (analysis.Value, error) {
	reply, err := s.client.Get(ctx, s.address)
	switch {
	case err != nil:
		return analysis.Value{}, err
	case len(s.path) == 0:
		return analysis.Value{Number: float64(reply.Status)}, nil
	case reply.Status < 200 || reply.Status > 299:
		return analysis.Value{}, reply.Unwanted()
	}
	decoder := json.NewDecoder(bytes.NewReader(reply.Body))
	decoder.UseNumber()
	var document any
	if err := decoder.Decode(&document); err != nil {
		return analysis.Value{}, fmt.Errorf("read JSON: %w", err)
	}
	return find(document, s.path)
}

func find(at any, path []string) (analysis.Value, error) {
	for i, step := range path {
		next, ok := child(at, step)
		if !ok {
			return analysis.Value{}, fmt.Errorf("the JSON has no %s", strings.Join(path[:i+1], "."))
		}
		at = next
	}
	switch v := at.(type) {
	case json.Number:
		x, err := v.Float64()
		return analysis.Value{Number: x}, err
	case string:
		return analysis.ValueOf(v)
	case bool:
		return analysis.Value{Word: strconv.FormatBool(v)}, nil
	}
	return analysis.Value{}, errors.New("the JSON has no number, text or truth value there")
}

func child(at any, step string) (any, bool) {
	switch v := at.(type) {
	case map[string]any:
		next, ok := v[step]
		return next, ok
	case []any:
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i >= len(v) {
			return nil, false
		}
		return v[i], true
	}
	return nil, false
}
