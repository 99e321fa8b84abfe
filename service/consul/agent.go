package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// errUnknown: the agent does not know the service or its check.
var errUnknown = errors.New("the agent does not know it")

// call asks the agent for something that has no answer but done.
func (p *Part) call(ctx context.Context, method, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("consul: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.o.Agent, "/")+path, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("consul: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if p.o.Token != "" {
		req.Header.Set("X-Consul-Token", p.o.Token)
	}
	resp, err := p.o.Client.Do(req)
	if err != nil {
		return fmt.Errorf("consul: %w", err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	switch {
	case resp.StatusCode == http.StatusOK:
		return nil
	case unknown(resp.StatusCode, string(text)):
		return errUnknown
	default:
		return fmt.Errorf("consul: the agent says %d: %s", resp.StatusCode, bytes.TrimSpace(text))
	}
}

// unknown: newer agents say 404, older ones 500 with these words.
func unknown(status int, text string) bool {
	return status == http.StatusNotFound ||
		status == http.StatusInternalServerError && (strings.Contains(text, "does not have associated TTL") ||
			strings.Contains(text, "Unknown check") || strings.Contains(text, "Unknown service"))
}
