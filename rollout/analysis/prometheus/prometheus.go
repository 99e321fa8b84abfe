// Package prometheus asks a Prometheus server for the value of a query, by
// its HTTP API (/api/v1/query). What speaks that API serves as well.
package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-shipper/shipper/rollout/analysis"
	"github.com/go-shipper/shipper/rollout/analysis/fetch"
)

// Source measures one query.
type Source struct {
	client *fetch.Client
	server string
	query  string
}

// New measures query at the server with this address.
func New(server, query string, o fetch.Options) (*Source, error) {
	client, err := fetch.New(o)
	return &Source{client, strings.TrimSuffix(server, "/"), query}, err
}

// answer is what the API replies.
type answer struct {
	Status string `json:"status"`
	Error  string `json:"error"`
	Data   struct {
		Type   string          `json:"resultType"`
		Result json.RawMessage `json:"result"`
	} `json:"data"`
}

// sample is a time and a value.
type sample [2]any

// Measure asks once. A query without a result is an error, not a zero: no
// data proves nothing.
func (s *Source) Measure(ctx context.Context) (analysis.Value, error) {
	reply, err := s.client.Get(ctx, s.server+"/api/v1/query?query="+url.QueryEscape(s.query))
	if err != nil {
		return analysis.Value{}, err
	}
	var a answer
	if err := json.Unmarshal(reply.Body, &a); err != nil || a.Status == "" {
		return analysis.Value{}, fmt.Errorf("prometheus: %w", reply.Unwanted())
	}
	if a.Status != "success" || reply.Status != http.StatusOK {
		return analysis.Value{}, fmt.Errorf("prometheus: status %d: %s", reply.Status, a.Error)
	}
	one, err := a.sample()
	if err != nil {
		return analysis.Value{}, fmt.Errorf("prometheus: %w", err)
	}
	return one.value()
}

// sample is the only one of a vector, or a scalar.
func (a answer) sample() (sample, error) {
	if a.Data.Type == "scalar" {
		var one sample
		err := json.Unmarshal(a.Data.Result, &one)
		return one, err
	}
	if a.Data.Type != "vector" {
		return sample{}, fmt.Errorf("the query gives a %s: want one value", a.Data.Type)
	}
	var all []struct {
		Value sample `json:"value"`
	}
	if err := json.Unmarshal(a.Data.Result, &all); err != nil {
		return sample{}, err
	}
	switch len(all) {
	case 0:
		return sample{}, errors.New("the query gives nothing: no data")
	case 1:
		return all[0].Value, nil
	}
	return sample{}, fmt.Errorf("the query gives %d values: want one, by sum() for example", len(all))
}

func (s sample) value() (analysis.Value, error) {
	text, ok := s[1].(string)
	if !ok {
		return analysis.Value{}, fmt.Errorf("prometheus: %v is no value", s[1])
	}
	x, err := strconv.ParseFloat(text, 64) // NaN and +Inf as well
	if err != nil {
		return analysis.Value{}, fmt.Errorf("prometheus: %w", err)
	}
	return analysis.Value{Number: x}, nil
}
