package main

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestTwoInstancesShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.jsonl")
	blue, err := openStore(path, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer blue.Close()
	green, err := openStore(path, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer green.Close()
	o, err := blue.add(order{Item: "bolt", Quantity: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := green.cancel(o.ID); err != nil {
		t.Fatalf("the other slot does not know it: %v", err)
	}
	if got, err := blue.get(o.ID); err != nil || !got.Cancelled {
		t.Errorf("%+v: %v", got, err)
	}
	later, err := openStore(path, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	if got, err := later.list(); err != nil || len(got) != 1 || !got[0].Cancelled {
		t.Errorf("after a restart: %+v: %v", got, err)
	}
}

func TestTornLineIsLeftForLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.jsonl")
	if err := os.WriteFile(path, []byte("{\"id\":\"a\",\"item\":\"x\"}\nnonsense\n{\"id\":\"b\","), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(path, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.get("a"); err != nil {
		t.Error(err)
	}
	if _, err := s.get("b"); !errors.Is(err, errNoOrder) {
		t.Errorf("half an order: %v", err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("\"item\":\"y\"}\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.get("b"); err != nil {
		t.Errorf("once it is whole: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s, err := openStore("", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range kept/4 + 100 {
				if _, err := s.add(order{Item: "x", Quantity: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(s.orders) != kept || len(s.ids) != kept {
		t.Errorf("%d orders, %d ids", len(s.orders), len(s.ids))
	}
	if got, err := s.list(); err != nil || len(got) != listed {
		t.Errorf("lists %d: %v", len(got), err)
	}
}
