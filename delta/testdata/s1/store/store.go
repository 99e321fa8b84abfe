// Package store keeps orders in memory.
package store

import (
	"encoding/csv"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
)

// Order is what a customer wants.
type Order struct {
	ID    int64  `json:"id"`
	Item  string `json:"item"`
	Count int    `json:"count"`
}

// Store answers GET with all orders and takes new ones by POST.
type Store struct {
	log    *slog.Logger
	mu     sync.Mutex
	orders []Order
}

func New(log *slog.Logger) *Store { return &Store{log: log} }

func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		s.list(w, r)
	case http.MethodPost:
		s.add(w, r)
	default:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

func (s *Store) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.FormValue("format") == "csv" {
		s.table(w)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.orders); err != nil {
		s.log.Error("write orders", "error", err)
	}
}

func (s *Store) table(w http.ResponseWriter) {
	rows := csv.NewWriter(w)
	for _, o := range s.orders {
		_ = rows.Write([]string{strconv.FormatInt(o.ID, 10), o.Item, strconv.Itoa(o.Count)}) // kept until Flush
	}
	rows.Flush()
}

func (s *Store) add(w http.ResponseWriter, r *http.Request) {
	var o Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o.ID = int64(len(s.orders) + 1)
	s.orders = append(s.orders, o)
	s.log.Info("order taken", "id", o.ID, "item", o.Item, "count", o.Count)
	w.WriteHeader(http.StatusCreated)
}
