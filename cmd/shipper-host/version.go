package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/go-shipper/shipper/host/store"
)

func version(_ context.Context, c call) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own executable: %w", err)
	}
	digest, err := store.FileDigest(exe)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "shipper-host %s\ndigest  %s\ngo      %s %s/%s\n",
		ownVersion(), digest, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// ownVersion is the module's. Builds for pushing carry none, so that equal
// source gives equal bytes: those are told apart by their digest.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "0.0.0-unknown"
	}
	return strings.TrimPrefix(info.Main.Version, "v")
}

// person is who sits at the console, for the record.
func person() string {
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	return account() + " at " + host
}
