//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/go-shipper/shipper/packaging"
	"github.com/go-shipper/shipper/release"
)

// exeSize is how long the executable is that travels: a usual Go service.
const exeSize = 13 << 20

// executable builds a real program for Windows and brings it to exeSize; the
// seed makes a content that no host has.
func executable(ctx context.Context, dir string) ([]byte, error) {
	exe := filepath.Join(dir, "service.exe")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", exe, "github.com/go-shipper/shipper/cmd/shipper-host")
	cmd.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the executable: %w: %s", err, out)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		return nil, err
	}
	for len(b) < exeSize { // the same code again, as a bigger program has more of it
		b = append(b, b[:min(len(b), exeSize-len(b))]...)
	}
	return b[:exeSize], nil
}

// variant is exe with another end.
func variant(exe []byte, seed uint64) []byte {
	out := bytes.Clone(exe)
	r := rand.New(rand.NewPCG(seed, uint64(time.Now().UnixNano())))
	for i := len(out) - 64; i < len(out); i++ {
		out[i] = byte(r.Uint32())
	}
	return out
}

// bundle writes a bundle of one executable for the hosts of goos.
func bundle(dir, version, goos string, exe []byte) (string, error) {
	path := filepath.Join(dir, version+".zip")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	m := packaging.Manifest{
		Protocol: packaging.Protocol, Name: serviceName, Version: version, Builder: "prebuilt", Time: time.Unix(1, 0).UTC(),
		Targets: []packaging.TargetManifest{{GOOS: goos, GOARCH: "amd64", Executable: "service.exe",
			Files: []release.File{{Path: "service.exe", Size: int64(len(exe)), SHA256: release.Of(exe)}}}},
	}
	_, err = packaging.WriteBundle(f, m, func(packaging.TargetManifest, release.File) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(exe)), nil
	})
	return path, errors.Join(err, f.Close())
}
