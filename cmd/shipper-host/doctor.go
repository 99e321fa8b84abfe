package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-shipper/shipper/host/doctor"
	"github.com/go-shipper/shipper/host/rpc"
)

// maxCheckup bounds what stdin may hold, in bytes.
const maxCheckup = 64 << 10

// examine reads a rpc.Checkup and answers one rpc.Finding per line.
func examine(_ context.Context, c call) error {
	var checkup rpc.Checkup
	if err := json.NewDecoder(io.LimitReader(c.in, maxCheckup)).Decode(&checkup); err != nil {
		return wrongUsage("doctor: read what to look for from stdin: %v", err)
	}
	if checkup.Root == "" {
		checkup.Root = existing(c.layout().Programs)
	}
	out := json.NewEncoder(c.out)
	for _, finding := range doctor.Examine(doctor.Host{}, checkup) {
		if err := out.Encode(finding); err != nil {
			return fmt.Errorf("tell a finding: %w", err)
		}
	}
	return nil
}

// existing is dir, or the nearest folder above it that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return dir
		}
		dir = up
	}
}
