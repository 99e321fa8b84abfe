package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

type order struct {
	ID        string `json:"id"`
	Item      string `json:"item"`
	Quantity  int    `json:"quantity"`
	Cancelled bool   `json:"cancelled,omitempty"`
}

var errNoOrder = errors.New("no such order")

// listed bounds the answer to GET /orders, kept the memory.
const (
	listed = 100
	kept   = 10_000
)

// store keeps orders in memory and, with a file, in lines of JSON that are
// only ever appended. Two instances that run side by side share the file:
// each reads what the other wrote before it answers.
type store struct {
	mu     sync.Mutex
	orders map[string]order
	ids    []string // oldest first
	taken  prometheus.Counter
	file   *os.File
	read   int64 // bytes of the file that are in memory
}

func openStore(path string, metrics prometheus.Registerer) (*store, error) {
	s := &store{orders: map[string]order{}, taken: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "orders_taken_total", Help: "Orders that were taken."})}
	if err := metrics.Register(s.taken); err != nil {
		return nil, err
	}
	if path == "" {
		return s, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open orders: %w", err)
	}
	s.file = f
	if err := s.catchUp(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// Close ends the use of the file.
func (s *store) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// dir is the folder of the file; that of temporary files for memory only.
func (s *store) dir() string {
	if s.file == nil {
		return os.TempDir()
	}
	return filepath.Dir(s.file.Name())
}

// ping is whether the file is still there to be read.
func (s *store) ping(context.Context) error {
	if s.file == nil {
		return nil
	}
	_, err := os.Stat(s.file.Name())
	return err
}

func (s *store) add(o order) (order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.ID = strings.ToLower(rand.Text()[:12])
	s.taken.Inc()
	return o, s.put(o)
}

func (s *store) get(id string) (order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.catchUp(); err != nil {
		return order{}, err
	}
	o, ok := s.orders[id]
	if !ok {
		return o, errNoOrder
	}
	return o, nil
}

func (s *store) cancel(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.catchUp(); err != nil {
		return err
	}
	o, ok := s.orders[id]
	if !ok {
		return errNoOrder
	}
	o.Cancelled = true
	return s.put(o)
}

// list returns the newest orders, by ID.
func (s *store) list() ([]order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.catchUp(); err != nil {
		return nil, err
	}
	newest := map[string]order{}
	for _, id := range s.ids[max(0, len(s.ids)-listed):] {
		newest[id] = s.orders[id]
	}
	sorted := make([]order, 0, len(newest))
	for _, id := range slices.Sorted(maps.Keys(newest)) {
		sorted = append(sorted, newest[id])
	}
	return sorted, nil
}

func (s *store) put(o order) error {
	if s.file == nil {
		s.remember(o)
		return nil
	}
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("keep order: %w", err)
	}
	return s.catchUp()
}

func (s *store) remember(o order) {
	if _, known := s.orders[o.ID]; !known {
		s.ids = append(s.ids, o.ID)
	}
	s.orders[o.ID] = o
	if len(s.ids) > kept {
		delete(s.orders, s.ids[0])
		s.ids = s.ids[1:]
	}
}

// catchUp reads what was appended since, by whomever. A last line without an
// end is still being written and is left for the next time.
func (s *store) catchUp() error {
	if s.file == nil {
		return nil
	}
	r := bufio.NewReader(io.NewSectionReader(s.file, s.read, 1<<62))
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read orders: %w", err)
		}
		s.read += int64(len(line))
		var o order
		if json.Unmarshal(line, &o) == nil && o.ID != "" {
			s.remember(o)
		}
	}
}
