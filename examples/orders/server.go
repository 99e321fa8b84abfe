package main

import (
	"encoding/json"
	"errors"
	"net/http"
)

type server struct {
	slot  string
	store *store
	misbehaviour
}

// maxBody bounds an order as it is sent, in bytes.
const maxBody = 64 << 10

func (s *server) handler(lock func(http.Handler) http.Handler, metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	for pattern, answer := range map[string]http.HandlerFunc{
		"GET /orders": s.list, "POST /orders": s.create, "GET /orders/{id}": s.get, "DELETE /orders/{id}": s.cancel,
	} {
		mux.Handle(pattern, s.wrap(lock(answer)))
	}
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"version": version, "commit": commit, "slot": s.slot})
	})
	return s.signed(mux)
}

// signed lets a client count answers by version and slot.
func (s *server) signed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Orders-Version", version)
		w.Header().Set("X-Slot", s.slot)
		next.ServeHTTP(w, r)
	})
}

func (s *server) list(w http.ResponseWriter, _ *http.Request) {
	orders, err := s.store.list()
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, orders)
}

func (s *server) create(w http.ResponseWriter, r *http.Request) {
	var o order
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil || o.Item == "" || o.Quantity < 1 {
		reply(w, http.StatusBadRequest, map[string]string{"error": `want {"item": "…", "quantity": 1}`})
		return
	}
	o, err := s.store.add(order{Item: o.Item, Quantity: o.Quantity})
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Location", "/orders/"+o.ID)
	reply(w, http.StatusCreated, o)
}

func (s *server) get(w http.ResponseWriter, r *http.Request) {
	o, err := s.store.get(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, o)
}

func (s *server) cancel(w http.ResponseWriter, r *http.Request) {
	if err := s.store.cancel(r.PathValue("id")); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func fail(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if errors.Is(err, errNoOrder) {
		status = http.StatusNotFound
	}
	reply(w, status, map[string]string{"error": err.Error()})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) // a client that went away is no error of ours
}
