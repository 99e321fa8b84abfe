package packaging

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-shipper/shipper/release"
)

// artifact describes an executable by what lies on the disk: what a build
// tool says about its digest is not relied on.
func artifact(path, target string) (Artifact, error) {
	f, err := describe(path)
	if err != nil {
		return Artifact{}, err
	}
	goos, goarch, _ := strings.Cut(target, "/")
	return Artifact{Path: path, GOOS: goos, GOARCH: goarch, SHA256: f.SHA256, Size: f.Size}, nil
}

// describe returns size and digest of a file, without a path.
func describe(path string) (release.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return release.File{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxFile+1))
	if err != nil {
		return release.File{}, fmt.Errorf("read %s: %w", path, err)
	}
	if n > maxFile {
		return release.File{}, fmt.Errorf("%s is larger than %d bytes", path, int64(maxFile))
	}
	return release.File{Size: n, SHA256: release.Digest(hex.EncodeToString(h.Sum(nil)))}, nil
}

// toolchain is the Go that made an executable; empty if it was not made by Go.
func toolchain(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return ""
	}
	return info.GoVersion
}
